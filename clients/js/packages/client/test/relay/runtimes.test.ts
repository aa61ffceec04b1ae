import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { bundle } from "../support/browser.js";
import { describeWithRelay } from "../support/session.js";
import { skip } from "../support/skips.js";

const run = promisify(execFile);
const runtimes = [
  { name: "Node", command: process.execPath, options: [] },
  { name: "Bun", command: process.env.BUN_BIN ?? "bun", options: [] },
  { name: "Deno", command: process.env.DENO_BIN ?? "deno", options: ["run", "--allow-net"] },
];

function exists(command: string): boolean {
  try {
    execFileSync(command, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describeWithRelay("the client, as one file,", {}, (session) => {
  for (const { name, command, options } of runtimes) {
    const missing = !exists(command);
    if (missing) skip(`the client in ${name}`, `there is no ${command} on this machine`);
    it.skipIf(missing)(`works in ${name} as everywhere else`, async () => {
      const directory = mkdtempSync(join(tmpdir(), "mte-runtime-"));
      const file = join(directory, "runtime.mjs");
      writeFileSync(file, await bundle(new URL("../support/runtime.ts", import.meta.url)));
      try {
        const { stdout } = await run(command, [...options, file, session.relay.url]);
        expect(stdout).toContain("all right");
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    });
  }
});
