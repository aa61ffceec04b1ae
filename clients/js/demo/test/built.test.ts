import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { script } from "../build.mjs";

it("the script embedded in the demo's binary is built from the current sources (if not, run `npm run build`)", async () => {
  const kept = readFileSync(new URL("../built/app.js", import.meta.url), "utf8");
  expect(kept === (await script()).text).toBe(true);
});
