/**
 * Builds `dist`: the ES module, which imports @noble/* as dependencies; the CommonJS module, which bundles them,
 * because they are ES modules only; and the types of each.
 */

import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { rollup } from "rollup";
import { dts } from "rollup-plugin-dts";

process.chdir(new URL("..", import.meta.url).pathname);
rmSync("dist", { recursive: true, force: true });

const common = { entryPoints: ["src/index.ts"], bundle: true, target: "es2022", platform: "neutral" };
await build({ ...common, format: "esm", outfile: "dist/index.js", external: ["@noble/*"] });
await build({ ...common, format: "cjs", outfile: "dist/index.cjs" });

const types = await rollup({
  input: "src/index.ts",
  plugins: [dts({ compilerOptions: { stripInternal: true } })],
});
const { output } = await types.generate({ format: "es" });
writeFileSync("dist/index.d.ts", output[0].code);
copyFileSync("dist/index.d.ts", "dist/index.d.cts");
await types.close();
