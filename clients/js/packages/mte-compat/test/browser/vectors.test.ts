import { expect, it } from "vitest";
import { bundle, startBrowser } from "../../../client/test/support/browser.js";
import type { CompatPage } from "../help/page.js";
import { vectors } from "../help/vectors.js";

it("the test vectors open, are reproduced and are refused in a browser as on other platforms", async () => {
  const browser = await startBrowser({
    "/page.js": await bundle(new URL("../help/page.ts", import.meta.url)),
  });
  try {
    const page = await browser.open();
    const counts = await page.evaluate(
      (all) => (globalThis as unknown as { mte: CompatPage }).mte.check(all),
      vectors,
    );
    const all = vectors.messages.length;
    expect(counts).toEqual({ opened: all, made: all, refused: vectors.refused.length });
    expect(all).toBeGreaterThan(10);
  } finally {
    await browser.stop();
  }
});
