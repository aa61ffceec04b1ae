/**
 * Builds the page's script into built/app.js. The result is checked in, because the demo's binary embeds the page and
 * must build without Node; a test fails if it does not match the sources.
 */

import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The script as text. */
export async function script() {
  const { outputFiles } = await build({
    entryPoints: [here("src/main.ts")],
    tsconfig: here("tsconfig.json"),
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "eof",
    banner: { js: "// Built from clients/js/demo/src by `npm run build`: change it there." },
    outfile: here("built/app.js"),
    write: false,
    logLevel: "warning",
  });
  return outputFiles[0];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { writeFile } = await import("node:fs/promises");
  const { path, contents } = await script();
  await writeFile(path, contents);
}
