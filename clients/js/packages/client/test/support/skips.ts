/** Tests that cannot run on this machine; `make test` lists them at its end. */

import { appendFileSync } from "node:fs";

/** Reports a skipped test and the reason: in the file that MTE_RELAY_SKIPS names, or on stderr. */
export function skip(test: string, reason: string): void {
  const file = process.env.MTE_RELAY_SKIPS;
  if (file) appendFileSync(file, `${test}: ${reason}\n`);
  else console.error(`skipped: ${test}: ${reason}`);
}
