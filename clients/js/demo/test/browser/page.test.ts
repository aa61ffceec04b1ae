import { mkdirSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Demo, startDemo } from "../demo.js";

const SECRET = "one moth";

/** The text of one of the six views. */
async function view(page: Page, name: string): Promise<string> {
  return page.locator(`.cell.${name}`).innerText();
}

/** Starts an exchange with `act`, and waits for the expected headline. */
async function startExchange(page: Page, act: () => Promise<unknown>, outcome: RegExp): Promise<string> {
  const outcomes = page.locator(".outcome");
  const before = await outcomes.getAttribute("data-request");
  await act();
  const next = `.outcome[data-request="${Number(before ?? 0) + 1}"]`;
  await page.locator(`${next} b`, { hasText: outcome }).waitFor();
  return outcomes.innerText();
}

/** Sends the form with the eavesdropper doing `order`; returns the headline. */
async function send(page: Page, order: string, outcome: RegExp): Promise<string> {
  await page.getByText(order, { exact: true }).click();
  return startExchange(page, () => page.locator("#send").click(), outcome);
}

describe("the demo's page", () => {
  let demo: Demo;
  let page: Page;
  beforeAll(async () => {
    demo = await startDemo();
    page = await demo.open();
  });
  afterAll(() => demo?.stop());

  it("shows a request as it was sent, on the wire and as it arrived", async () => {
    await send(page, "only listens", /^Delivered: 201/);
    await page.getByText("the same bytes as the upstream sent").waitFor();
    expect(await view(page, "sent")).toContain(SECRET);
    const travelled = await view(page, "travelled");
    expect(travelled).toMatch(/URL\s+24 bytes → 70 bytes/);
    expect(travelled).toMatch(/body\s+58 bytes → 104 bytes/);
    // Type, place and number of the body's message, then 16 random bytes and the length of its only frame.
    expect(travelled).toMatch(/01 a0 00 00 00 00 00 00 00 0\d( [0-9a-f]{2}){16} 80 00 00 3a/);
    expect(travelled).not.toContain(SECRET);
    expect(travelled).not.toContain("transfers");
    const arrived = await view(page, "arrived");
    expect(arrived).toContain(SECRET);
    expect(arrived).toContain("POST /transfers?from=DE89-3704");
    expect(arrived).toContain("the same bytes as the page sent");
    expect(await view(page, "answered")).toContain('"reference":"T-2031"');
    expect(await view(page, "travelled-back")).not.toContain("T-2031");
    expect(await view(page, "read")).toContain('"reference":"T-2031"');
  });

  it("shows the effect of the choices: the encode type, and a URL in the clear", async () => {
    await page.locator("#encode-type").selectOption("MTE");
    await page.locator("#seal-url").uncheck();
    await send(page, "only listens", /^Delivered: 201/);
    const travelled = await view(page, "travelled");
    expect(travelled).toContain("/transfers?from=DE89-3704");
    // 58 bytes and their length are two blocks of 64, of two bytes each.
    expect(travelled).toMatch(/body\s+58 bytes → 174 bytes/);
    await page.locator(".cell.travelled summary").click();
    expect(await view(page, "travelled")).not.toContain("Bearer eyJhbGciOi.secret");
    await page.locator("#encode-type").selectOption("MKE");
    await page.locator("#seal-url").check();
  });

  it("shows how tampering, replaying and cutting are refused", async () => {
    const bit = await send(page, "flips a bit of the request", /^Refused/);
    expect(bit).toContain("The relay answered 562: decode failed");
    await page.locator(".cell.travelled .changed").waitFor();
    expect(await view(page, "arrived")).toContain("Nothing arrived here");

    expect(await send(page, "sends the request twice", /^Delivered once/)).toContain("refused with 562");
    expect(await view(page, "arrived")).toContain("it arrived once, not twice");

    const answer = await send(page, "flips a bit of the response", /^Refused/);
    expect(answer).toContain("frame 0 does not verify");
    expect(await view(page, "arrived")).toContain(SECRET);
    expect(await view(page, "read")).not.toContain("T-2031");

    expect(await send(page, "truncates the response", /^Refused/)).toContain("no final frame");
    expect(await send(page, "forges the status", /^Refused/)).toContain(":status is 201, expected 200");
    // And none of it lasts.
    expect(await send(page, "only listens", /^Delivered/)).toContain("201");
  });

  it("sends while the user types", async () => {
    await page.getByText("send while I type").click();
    await page.locator("#path").fill("/search?for=plums");
    await page.locator(".cell.arrived", { hasText: "POST /search?for=plums" }).waitFor();
    await page.getByText("send while I type").click();
    await page.locator("#path").fill("/transfers?from=DE89-3704");
  });

  it("uploads a file and downloads a long body, and their digests are the same at both ends", async () => {
    await page.getByRole("tab", { name: "Upload" }).click();
    const buffer = Buffer.alloc(3_000_000, "CONFIDENTIAL ");
    await page.locator("#file").setInputFiles({ name: "ledger.txt", mimeType: "text/plain", buffer });
    await startExchange(page, () => page.locator("#upload").click(), /^Delivered: 200/);
    expect(await view(page, "arrived")).toMatch(/2\.86 MiB[\s\S]*the same bytes as the page sent/);
    expect(await view(page, "travelled")).not.toContain("CONFIDENTIAL");
    await page.getByRole("tab", { name: "Download" }).click();
    await page.locator("#download-size").selectOption("16");
    await startExchange(page, () => page.locator("#download").click(), /^Delivered: 200/);
    await page.getByText("the same bytes as the upstream sent").waitFor();
    expect(await view(page, "read")).toContain("16.00 MiB");
    expect(await view(page, "travelled-back")).not.toContain("CONFIDENTIAL");
  });

  it("shows events one by one, live, until it is stopped", async () => {
    await page.getByRole("tab", { name: "Events" }).click();
    await page.locator("#pause").selectOption("200");
    await startExchange(page, () => page.locator("#listen").click(), /^Streaming/);
    for (const price of ["3.40", "4.40", "5.40"]) {
      await page.locator(".cell.read", { hasText: `plum cake ${price} EUR` }).waitFor();
    }
    // The third is read while the stream is still open.
    expect(await page.locator(".outcome").innerText()).toContain("Streaming…");
    expect(await view(page, "read")).toMatch(/\d ms later/);
    expect(await view(page, "travelled-back")).not.toContain("plum");
    await page.locator("#panel-events .plain").click();
    await page.locator(".outcome b", { hasText: "Stopped by this page" }).waitFor();
  });

  it.each(["light", "dark"] as const)("fits a desktop and a phone, in the %s theme", async (colorScheme) => {
    for (const [device, width, height] of [
      ["desktop", 1360, 900],
      ["phone", 390, 844],
    ] as const) {
      const own = await demo.open({ colorScheme, viewport: { width, height } });
      await send(own, "only listens", /^Delivered/);
      await own.getByText("the same bytes as the upstream sent").waitFor();
      const facts = await own.evaluate(() => ({
        wide: document.documentElement.scrollWidth,
        ground: getComputedStyle(document.body).backgroundColor,
        columns: new Set(
          [...document.querySelectorAll(".cell")].map((one) => one.getBoundingClientRect().left),
        ).size,
      }));
      expect(facts.wide).toBe(width);
      expect(facts.columns).toBe(device === "phone" ? 1 : 3);
      expect(facts.ground).toBe(colorScheme === "light" ? "rgb(245, 244, 241)" : "rgb(20, 21, 26)");
      if (process.env.SCREENSHOTS) {
        mkdirSync(process.env.SCREENSHOTS, { recursive: true });
        await own.screenshot({
          path: `${process.env.SCREENSHOTS}/${device}-${colorScheme}.png`,
          fullPage: true,
        });
      }
      await own.context().close();
    }
  });
});
