/**
 * What the relay and its client cost a browser: each measurement against plain fetch to the same upstream, in one run,
 * taken in turns. `npm run bench`; prints tables in Markdown.
 */

import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BrowserSession, bundle, PAGE, startBrowser } from "../test/support/browser.js";
import type { PageGlobals } from "../test/support/page.js";
import { type RelayProcess, startRelay } from "../test/support/relay-process.js";
import { startUpstream, type Upstream } from "../test/support/upstream.js";

const GIB = 1 << 30;
const SIZES = [
  { name: "1 KiB", bytes: 1 << 10, rounds: 100 },
  { name: "100 KiB", bytes: 100 << 10, rounds: 60 },
  { name: "10 MiB", bytes: 10 << 20, rounds: 6 },
];

/** Median milliseconds of each way, measured in turns for `rounds` rounds. */
async function measure(
  page: Page,
  upstream: string,
  relay: string,
  bytes: number,
  rounds: number,
  upload: boolean,
) {
  const ways = ["plain", "sealed"];
  return page.evaluate(
    async ({ ways, upstream, relay, bytes, rounds, upload }) => {
      const { mte } = globalThis as unknown as PageGlobals;
      const client = mte.createRelayClient({ url: relay });
      const body = mte.pattern(bytes);
      const once = async (way: string) => {
        const path = upload ? "/echo" : `/bytes?n=${bytes}`;
        const init = upload ? { method: "POST", body } : {};
        const response =
          way === "plain"
            ? await fetch(upstream + path, { ...init, cache: "no-store" })
            : await client.fetch(path, init);
        await response.arrayBuffer();
      };
      const times: Record<string, number[]> = Object.fromEntries(ways.map((way) => [way, []]));
      for (let round = -3; round < rounds; round++) {
        for (const way of ways) {
          const began = performance.now();
          await once(way);
          if (round >= 0) times[way]!.push(performance.now() - began);
        }
      }
      const median = (list: number[]) => list.sort((a, b) => a - b)[list.length >> 1]!;
      return Object.fromEntries(ways.map((way) => [way, median(times[way]!)])) as Record<string, number>;
    },
    { ways, upstream, relay, bytes, rounds, upload },
  );
}

/** Reads `bytes` bytes and discards them. */
function download(page: Page, sealed: boolean, url: string, bytes: number) {
  return page.evaluate(
    async ({ sealed, url, bytes }) => {
      const { mte } = globalThis as unknown as PageGlobals;
      const began = performance.now();
      const path = `/bytes?n=${bytes}`;
      const response = await (sealed ? mte.createRelayClient({ url }).fetch(path) : fetch(url + path));
      const reader = response.body!.getReader();
      let length = 0;
      for (let read = await reader.read(); !read.done; read = await reader.read())
        length += read.value.length;
      return { length, seconds: (performance.now() - began) / 1000 };
    },
    { sealed, url, bytes },
  );
}

/** The memory of a browser's processes of one type, in MiB. */
async function memory(browser: Browser, type: string): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const sizes = processInfo
    .filter((process) => process.type === type)
    .map(({ id }) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1] ?? 0));
  return sizes.reduce((sum, size) => sum + size, 0) / 1024;
}

describe("in a browser", () => {
  let browser: BrowserSession;
  let upstream: Upstream;
  let relay: RelayProcess;
  let plain: string;
  beforeAll(async () => {
    browser = await startBrowser();
    const script = await bundle(new URL("../test/support/page.ts", import.meta.url));
    upstream = await startUpstream({ "/page": PAGE, "/page.js": script });
    plain = `http://127.0.0.1:${upstream.port}`;
    relay = await startRelay({
      upstreamPort: upstream.port,
      corsOrigins: [browser.origin],
      tenant: ["pass_through_routes: [/page, /page.js]"],
    });
  });
  afterAll(async () => {
    await browser?.stop();
    await relay?.stop();
    await upstream?.close();
  });

  it.each([
    ["of the relay's own origin", () => `${relay.url}/page`],
    ["of another origin", () => browser.origin],
  ])("from a page %s, latency and throughput are near plain fetch's", async (where, url) => {
    const page = await browser.open(url());
    const rows = [`| from a page ${where} | plain fetch | sealed | ratio |`, "| --- | ---: | ---: | ---: |"];
    for (const upload of [false, true]) {
      for (const { name, bytes, rounds } of SIZES) {
        const times = await measure(page, plain, relay.url, bytes, rounds, upload);
        const show = (way: string) => {
          const rate =
            bytes >= 1 << 20 ? ` (${Math.round(bytes / 1.048576 / times[way]! / 1000)} MiB/s)` : "";
          return `${times[way]!.toFixed(1)} ms${rate}`;
        };
        const ratio = (way: string) => (times[way]! / times.plain!).toFixed(2);
        rows.push(
          `| ${upload ? "POST" : "GET"} ${name} | ${show("plain")} | ${show("sealed")} | ${ratio("sealed")} |`,
        );
      }
    }
    console.log(`\n${rows.join("\n")}\n`);
    await page.context().close();
  });

  it("a download of 1 GiB takes bounded memory", async () => {
    const rows = [
      "| 1 GiB | seconds | MiB/s | renderers before, MiB | at most, MiB |",
      "| --- | ---: | ---: | ---: | ---: |",
    ];
    const growth: number[] = [];
    for (const way of ["plain", "sealed"]) {
      const page = await browser.open(`${relay.url}/page`);
      const before = await memory(browser.browser, "renderer");
      let peak = 0;
      const watch = setInterval(async () => {
        peak = Math.max(peak, await memory(browser.browser, "renderer").catch(() => 0));
      }, 100);
      const got = await download(page, way === "sealed", way === "sealed" ? relay.url : plain, GIB);
      clearInterval(watch);
      const rate = Math.round(GIB / 1048576 / got.seconds);
      rows.push(
        `| ${way} | ${got.seconds.toFixed(1)} | ${rate} | ${before.toFixed(0)} | ${peak.toFixed(0)} |`,
      );
      await page.context().close();
      expect(got.length).toBe(GIB);
      growth.push(peak - before);
    }
    console.log(`\n${rows.join("\n")}\n`);
    // Without a bound it would be the gigabyte. The rest, also with plain fetch, is memory that the garbage collector
    // has not freed yet.
    expect(growth[1]).toBeLessThan(growth[0]! + 200);
  });

  it("pairing is fast", async () => {
    const page = await browser.open(`${relay.url}/page`);
    const times = await page.evaluate(async (relay) => {
      const { mte } = globalThis as unknown as PageGlobals;
      const once = async (kem: "ml-kem-512" | "ml-kem-768" | "ml-kem-1024" | typeof mte.xWing) => {
        const began = performance.now();
        await mte.createRelayClient({ url: relay, kem }).pair();
        return performance.now() - began;
      };
      const first = await once("ml-kem-768");
      const later = [await once("ml-kem-768"), await once("ml-kem-768"), await once("ml-kem-768")].sort(
        (a, b) => a - b,
      )[1]!;
      await once(mte.xWing);
      return { first, later, xWing: await once(mte.xWing) };
    }, relay.url);
    const { first, later, xWing } = times;
    console.log(
      `\npairing with 5 pairs, hello included: first ${first.toFixed(0)} ms, later ${later.toFixed(0)} ms; X-Wing ${xWing.toFixed(0)} ms\n`,
    );
  });
});
