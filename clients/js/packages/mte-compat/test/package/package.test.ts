/** The package as users get it: packed, and installed into an empty project under the name of the closed module. */

import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const run = promisify(execFile);
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const project = mkdtempSync(join(tmpdir(), "mte-compat-project-"));
const inProject = { cwd: project };

async function node(file: string, source: string): Promise<string> {
  writeFileSync(join(project, file), source);
  const { stdout, stderr } = await run(process.execPath, [file], inProject);
  expect(stderr).toBe("");
  return stdout.trim();
}

/** A round trip, in a module that imports the names. */
const ROUND_TRIP = `
(async () => {
  const wasm = new MteWasm();
  await wasm.instantiate();
  const kyber = new MteKyber(wasm, MteKyberStrength.K768);
  const made = new MteKyber(wasm, MteKyberStrength.K768).createSecret(kyber.createKeypair().result1);
  const begin = (endpoint) => {
    endpoint.setEntropyArr(kyber.decryptSecret(made.result2).result1);
    endpoint.setNonce("7");
    endpoint.instantiate("personal");
    return endpoint;
  };
  const encoder = begin(MteMkeEnc.fromdefault(wasm));
  const decoder = begin(MteMkeDec.fromdefault(wasm, "0", "-63"));
  console.log(decoder.decodeStrB64(encoder.encodeStrB64("hello").str).str);
})();
`;
const NAMES = "MteKyber, MteKyberStrength, MteMkeDec, MteMkeEnc, MteWasm";

beforeAll(async () => {
  const packed = join(project, "packed");
  mkdirSync(packed);
  await run("npm", ["pack", "--pack-destination", packed], { cwd: here("../..") });
  const [tarball] = readdirSync(packed);
  // An alias in a manifest, as `npm i mte@npm:@mte-relay/mte-compat` writes it, except for the source.
  writeFileSync(
    join(project, "package.json"),
    JSON.stringify({ private: true, dependencies: { mte: `file:packed/${tarball}` } }),
  );
  await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline"], inProject);
}, 180_000);

afterAll(() => rmSync(project, { recursive: true, force: true }));

describe("the packed package, installed as mte", () => {
  it("contains only its build, its README and its license", () => {
    const files = readdirSync(join(project, "node_modules/mte"), { recursive: true }).map(String).sort();
    expect(files).toEqual([
      "LICENSE",
      "README.md",
      "dist",
      "dist/index.cjs",
      "dist/index.d.cts",
      "dist/index.d.ts",
      "dist/index.js",
      "package.json",
    ]);
  });

  it("works as an ES module", async () => {
    expect(await node("esm.mjs", `import { ${NAMES} } from "mte";${ROUND_TRIP}`)).toBe("hello");
  });

  it("works as a CommonJS module", async () => {
    expect(await node("cjs.cjs", `const { ${NAMES} } = require("mte");${ROUND_TRIP}`)).toBe("hello");
  });

  it("shares one counter, even if it is loaded both ways", async () => {
    const source = `
      import { createRequire } from "node:module";
      import * as esm from "mte";
      const cjs = createRequire(import.meta.url)("mte");
      const numbers = [esm, cjs, esm, cjs].map((mte) => {
        const encoder = mte.MteMkeEnc.fromdefault(new mte.MteWasm());
        encoder.setEntropyArr(new Uint8Array(32).fill(1));
        encoder.setNonce("1");
        encoder.instantiate("shared");
        return Buffer.from(encoder.encodeStr("a").arr).readBigUInt64BE(2);
      });
      console.log(esm.MteEnc === cjs.MteEnc, new Set(numbers).size);
    `;
    expect(await node("both.mjs", source)).toBe("false 4");
  });

  it("does nothing when it is imported", async () => {
    const source = `
      const before = Reflect.ownKeys(globalThis).length;
      await import("mte");
      console.log(Reflect.ownKeys(globalThis).length - before);
    `;
    expect(await node("import.mjs", source)).toBe("0");
  });

  it.each([
    ["bundler", "esnext", "consumer.ts"],
    ["node16", "node16", "consumer.mts"],
    ["node16", "node16", "consumer.cts"],
  ])(
    "has types for TypeScript users (%s resolution, %s modules, %s)",
    async (resolution, module, file) => {
      copyFileSync(here("./consumer.ts.txt"), join(project, file));
      const compilerOptions = {
        strict: true,
        noEmit: true,
        target: "es2022",
        lib: ["es2022", "dom"],
        types: [],
        module,
        moduleResolution: resolution,
      };
      writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: [file] }));
      const tsc = here("../../../../node_modules/typescript/bin/tsc");
      const { stdout } = await run(process.execPath, [tsc], inProject).catch((error) => error);
      expect(stdout).toBe("");
    },
    60_000,
  );
});
