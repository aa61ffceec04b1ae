import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BrowserSession, startBrowser } from "../support/browser.js";
import type { PageGlobals } from "../support/page.js";
import type { Vectors } from "../support/vectors.js";

const file = new URL("../../../../../../crates/mte-codec/vectors/v1.json", import.meta.url);
const vectors = JSON.parse(readFileSync(file, "utf8")) as Vectors;

describe("in a browser, the test vectors shared by all implementations", () => {
  let browser: BrowserSession;
  let page: Page;
  beforeAll(async () => {
    browser = await startBrowser();
    page = await browser.open();
  });
  afterAll(() => browser?.stop());

  it("give the same key exchanges, with the platform's ML-KEM if there is one", async () => {
    const platform = await page.evaluate(async (all: Vectors) => {
      const { mte } = globalThis as unknown as PageGlobals;
      for (const vector of all.kem) await mte.checkKem(vector);
      for (const name of ["ml-kem-512", "ml-kem-768", "ml-kem-1024"] as const) await mte.checkFreshKey(name);
      return "decapsulateBits" in crypto.subtle;
    }, vectors);
    console.log(`the platform's own ML-KEM: ${platform ? "used" : "missing"}`);
  });

  it("give the same roots and epochs", async () => {
    await page.evaluate(async (all: Vectors) => {
      const { mte } = globalThis as unknown as PageGlobals;
      for (const vector of all.directions) await mte.checkDirection(vector);
    }, vectors);
  });

  it("open, whole and in chunks, and can be reproduced", async () => {
    const count = await page.evaluate(async (all: Vectors) => {
      const { mte } = globalThis as unknown as PageGlobals;
      for (const vector of all.messages) await mte.checkMessage(all, vector);
      return all.messages.length;
    }, vectors);
    expect(count).toBe(vectors.messages.length);
  });

  it("are refused where they must be", async () => {
    await page.evaluate(async (all: Vectors) => {
      const { mte } = globalThis as unknown as PageGlobals;
      for (const vector of all.refused) await mte.checkRefused(all, vector);
    }, vectors);
  });
});
