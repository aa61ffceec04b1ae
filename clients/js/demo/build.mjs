/**
 * Builds the page's script into built/app.js. The result is kept in the repository, since the demo's binary has the page
 * inside and must be built without Node; a test tells when it is not that of the sources.
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
