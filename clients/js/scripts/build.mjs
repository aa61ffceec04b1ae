/**
 * Builds a package in the working directory: `node build.mjs <entry>...`, each src/<entry>.ts to dist/<entry>.js and
 * dist/<entry>.d.ts. Shared code is bundled into each; published dependencies stay imports.
 */

import { copyFile, readFile, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { rollup } from "rollup";
import { dts } from "rollup-plugin-dts";

const entries = process.argv.slice(2);
const { dependencies = {} } = JSON.parse(await readFile("package.json", "utf8"));
const published = Object.keys(dependencies);
const inputs = Object.fromEntries(entries.map((entry) => [entry, `src/${entry}.ts`]));

await rm("dist", { recursive: true, force: true });
await build({
  entryPoints: inputs,
  outdir: "dist",
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  external: published.flatMap((name) => [name, `${name}/*`]),
  chunkNames: "shared-[hash]",
  logLevel: "warning",
});

const tsconfig = fileURLToPath(new URL("../tsconfig.base.json", import.meta.url));
const types = await rollup({
  input: inputs,
  external: (id) => published.some((name) => id === name || id.startsWith(`${name}/`)),
  plugins: [dts({ tsconfig, includeExternal: ["@mte-relay/core"] })],
  onwarn: (warning) => {
    throw new Error(warning.message);
  },
});
await types.write({ dir: "dist", format: "es", chunkFileNames: "shared-[hash].d.ts" });

await copyFile(new URL("../../../LICENSE", import.meta.url), "LICENSE");
