import { it } from "vitest";
import { startBrowser } from "../support/browser.js";
import { startRelay } from "../support/relay-process.js";
import { startUpstream } from "../support/upstream.js";
import type { PageGlobals } from "../support/page.js";

it("explores", async () => {
  const b = await startBrowser();
  const up = await startUpstream();
  const relay = await startRelay({ upstreamPort: up.port, corsOrigins: [b.origin] });
  const page = await b.open();
  page.on("console", (m) => console.log("console:", m.text()));
  const net: string[] = [];
  page.on("request", (r) => net.push(`${r.method()} ${r.url().slice(0, 60)}`));
  const out = await page.evaluate(async (url) => {
    const { mte } = globalThis as unknown as PageGlobals;
    const res: Record<string, unknown> = { ua: navigator.userAgent };
    try {
      const k = await (crypto.subtle as any).generateKey("ML-KEM-768", false, ["encapsulateBits", "decapsulateBits"]);
      res.platform = (await (crypto.subtle as any).exportKey("raw-public", k.publicKey)).byteLength;
    } catch (e) { res.platform = String(e); }
    const c = mte.createRelayClient({ url, debug: mte.debugLog((l) => console.log(l)) });
    let t = performance.now();
    const r = await c.fetch("/echo?x=1", { method: "POST", body: "hello", headers: { authorization: "Bearer x" } });
    res.first = performance.now() - t;
    res.json = await r.json();
    res.headers = [...r.headers];
    t = performance.now();
    for (let i = 0; i < 20; i++) await (await c.fetch("/echo")).json();
    res.each = (performance.now() - t) / 20;
    const rr = await c.fetch("/redirect?to=/echo%3Fa=1");
    res.redirect = [rr.status, rr.url, rr.redirected, rr.type];
    t = performance.now();
    const bytes = await (await c.fetch("/bytes?n=10485760")).arrayBuffer();
    res.mib10 = [bytes.byteLength, performance.now() - t];
    t = performance.now();
    const up = await (await c.fetch("/echo", { method: "POST", body: mte.pattern(10 << 20) })).json();
    res.up10 = [up.length, performance.now() - t];
    return res;
  }, relay.url);
  console.log(JSON.stringify(out, null, 1), net.length, net.slice(0, 12));
  console.log(up.seen.length);
  await b.stop(); await relay.stop(); await up.close();
});
