/**
 * Packs the client as it would be published, installs it into an empty project, and uses it there: from an ES module,
 * and from TypeScript with its strictest settings, in both module resolutions that support package exports.
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const workspace = fileURLToPath(new URL("..", import.meta.url));
const project = mkdtempSync(join(tmpdir(), "mte-pack-"));
const run = (command, args, cwd = project) =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

const esm = `
import { createRelayClient, debugLog, initMteRelayClient, MteEventSource, mteFetch, MteRelayError } from "@mte-relay/client";
import { relayAdapter } from "@mte-relay/client/axios";
import { xWing } from "@mte-relay/client/x-wing";

const relay = createRelayClient({ url: "https://relay.invalid", kem: xWing, debug: debugLog() });
await initMteRelayClient({ numberOfPairs: 1 });
const kinds = [mteFetch, MteEventSource, relayAdapter, relay.fetch].map((one) => typeof one);
if (kinds.join() !== "function,function,function,function") throw new Error(kinds.join());
const error = await relay.fetch("https://elsewhere.invalid/").catch((reason) => reason);
if (!(error instanceof MteRelayError) || error.kind !== "request") throw error;
console.log("ESM: used");
`;

const typescript = `
import { createRelayClient, type MteOptions, MteEventSource, mteFetch, type RelayClient, type RelayEvent } from "@mte-relay/client";
import { relayAdapter } from "@mte-relay/client/axios";
import { xWing } from "@mte-relay/client/x-wing";
import axios from "axios";

const events: RelayEvent[] = [];
const relay: RelayClient = createRelayClient({ url: "https://relay.invalid", kem: xWing, debug: (event) => events.push(event) });
const options: MteOptions = { encodeType: "MTE", encodeHeaders: ["authorization"] };
export async function use(): Promise<string> {
  const response: Response = await relay.fetch("/x", { method: "POST", body: new FormData() }, options);
  for (const event of events) if (event.type === "request-chunk") console.log(event.plain.length, event.last);
  const source = new MteEventSource("/events", { fetch: relay.fetch });
  source.onmessage = (event) => console.log(event.data);
  const http = axios.create({ adapter: relayAdapter(axios, relay.fetch, options) });
  await http.get("/y");
  await mteFetch("https://relay.invalid", {}, options);
  return response.text();
}
export const asFetch: typeof fetch = relay.fetch;
// @ts-expect-error: there is no such type
createRelayClient({ url: "https://relay.invalid", encodeType: "AES" });
`;

try {
  const packed = JSON.parse(
    run("npm", ["pack", "--json", "--pack-destination", project], join(workspace, "packages/client")),
  );
  const { filename, files, size } = Array.isArray(packed) ? packed[0] : Object.values(packed)[0];
  const names = files.map((file) => file.path).sort();
  console.log(`${filename}: ${(size / 1024).toFixed(1)} KiB, ${names.join(" ")}`);
  const strays = names.filter(
    (name) => !/^(dist\/[\w-]+(\.d)?\.(js|ts)|LICENSE|README\.md|package\.json)$/.test(name),
  );
  if (strays.length > 0 || !names.includes("LICENSE")) throw new Error(`not to be published: ${strays}`);

  writeFileSync(
    join(project, "package.json"),
    JSON.stringify({ name: "empty", private: true, type: "module" }),
  );
  run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", `./${filename}`, "axios"]);
  writeFileSync(join(project, "use.mjs"), esm);
  process.stdout.write(run(process.execPath, ["use.mjs"]));

  writeFileSync(join(project, "use.ts"), typescript);
  const tsc = join(workspace, "node_modules/typescript/bin/tsc");
  for (const [module, moduleResolution] of [
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ]) {
    const settings = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      target: "es2022",
      module,
      moduleResolution,
    };
    const compilerOptions = {
      ...settings,
      skipLibCheck: false,
      types: [],
      lib: ["es2022", "dom", "dom.iterable", "dom.asynciterable"],
    };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["use.ts"] }));
    try {
      run(process.execPath, [tsc, "-p", "."]);
    } catch (error) {
      throw new Error(`TypeScript, ${moduleResolution}:\n${error.stdout}`);
    }
    console.log(`TypeScript, ${moduleResolution}: used`);
  }
} finally {
  rmSync(project, { recursive: true, force: true });
}
