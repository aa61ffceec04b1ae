/** Tests that cannot be done on a machine; `make test` lists them at its end. */

import { appendFileSync } from "node:fs";

/** Says that a test is not done, and why: in the file that MTE_RELAY_SKIPS names, else on stderr. */
export function skip(test: string, reason: string): void {
  const file = process.env.MTE_RELAY_SKIPS;
  if (file) appendFileSync(file, `${test}: ${reason}\n`);
  else console.error(`skipped: ${test}: ${reason}`);
}
