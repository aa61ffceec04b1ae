/**
 * What the client costs a page: bundle sizes, minified and gzipped, with dependencies; and the time to import it. Fails
 * if the whole client is above its limit, or if importing it has side effects.
 */

import { execFileSync } from "node:child_process";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const LIMIT = 40 * 1024;
const client = new URL("../packages/client/", import.meta.url);

const bundles = {
  everything: 'export * from "@mte-relay/client";',
  createRelayClient: 'export { createRelayClient } from "@mte-relay/client";',
  mteFetch: 'export { initMteRelayClient, mteFetch } from "@mte-relay/client";',
  "createRelayClient and X-Wing":
    'export { createRelayClient } from "@mte-relay/client"; export { xWing } from "@mte-relay/client/x-wing";',
  "the axios adapter with its dependencies": 'export * from "@mte-relay/client/axios";',
  "nothing of it": 'import "@mte-relay/client";',
};

let failed = false;
for (const [name, contents] of Object.entries(bundles)) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: client.pathname },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
    logLevel: "silent",
  });
  const code = outputFiles[0].contents;
  const packed = gzipSync(code, { level: 9 }).length;
  console.log(`${name}: ${kib(code.length)} minified, ${kib(packed)} gzipped`);
  if (name === "everything" && packed > LIMIT) failed = fail(`more than ${kib(LIMIT)}`);
  if (name === "nothing of it" && code.length > 0)
    failed = fail(`importing has side effects: ${code.length} bytes remain`);
}

const script = `const before = performance.now();
await import("@mte-relay/client");
console.log((performance.now() - before).toFixed(1));`;
const times = Array.from({ length: 5 }, () =>
  Number(
    execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: client, encoding: "utf8" }),
  ),
).sort((a, b) => a - b);
console.log(`import in Node: ${times[2]} ms (median of ${times.length} processes)`);
if (failed) process.exit(1);

function kib(bytes) {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}

function fail(reason) {
  console.error(`FAILED: ${reason}`);
  return true;
}
