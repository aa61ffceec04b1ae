import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { script } from "../build.mjs";

it("the script that the demo's binary has inside is that of the sources: else run `npm run build`", async () => {
  const kept = readFileSync(new URL("../built/app.js", import.meta.url), "utf8");
  expect(kept === (await script()).text).toBe(true);
});
