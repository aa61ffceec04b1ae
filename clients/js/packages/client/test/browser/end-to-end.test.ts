import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BrowserSession, bundle, startBrowser } from "../support/browser.js";
import { type Certificate, makeCertificate } from "../support/certificate.js";
import type { PageGlobals } from "../support/page.js";
import { type RelayProcess, startRelay } from "../support/relay-process.js";
import { startTamperProxy, type TamperProxy } from "../support/tamper.js";
import { type Echo, pause, startUpstream, type Upstream } from "../support/upstream.js";

describe("in a browser, over TLS, from a page of another origin,", () => {
  let certificate: Certificate;
  let upstream: Upstream;
  let relay: RelayProcess;
  let proxy: TamperProxy;
  let browser: BrowserSession;
  let page: Page;
  beforeAll(async () => {
    certificate = makeCertificate();
    const files = {
      "/sw.js": await bundle(new URL("../support/service-worker.ts", import.meta.url)),
      "/worker.js": await bundle(new URL("../support/worker.ts", import.meta.url)),
    };
    browser = await startBrowser(files, certificate);
    upstream = await startUpstream();
    relay = await startRelay({
      upstreamPort: upstream.port,
      corsOrigins: [browser.origin],
      certificate,
      tenant: ["require_binding: true", "min_kem: ml-kem-512"],
    });
    proxy = await startTamperProxy(relay.port, true);
    page = await browser.open();
  });
  afterAll(async () => {
    await browser?.stop();
    await proxy?.stop();
    await relay?.stop();
    await upstream?.close();
    certificate?.remove();
  });

  it("a stream is uploaded while it is produced over HTTP/2, and buffered first over HTTP/1.1", async () => {
    const upload = (url: string) =>
      page.evaluate(async (url) => {
        const { mte } = globalThis as unknown as PageGlobals;
        let made = 0;
        let sentBeforeItsEnd = 0;
        const client = mte.createRelayClient({
          url,
          debug: (event) => {
            if (event.type === "request-chunk" && made < 5) sentBeforeItsEnd++;
          },
        });
        const body = new ReadableStream({
          async pull(controller) {
            await new Promise((resolve) => setTimeout(resolve, 30));
            if (made === 5) controller.close();
            else controller.enqueue(new TextEncoder().encode(`piece ${made++},`));
          },
        });
        const init = { method: "POST", body, duplex: "half" };
        const { text } = (await (await client.fetch("/echo", init)).json()) as Echo;
        return { text, sentBeforeItsEnd };
      }, url);
    const text = "piece 0,piece 1,piece 2,piece 3,piece 4,";
    const streamed = await upload(relay.url);
    expect(streamed.text).toBe(text);
    expect(streamed.sentBeforeItsEnd).toBeGreaterThan(1);
    expect(await upload(proxy.url)).toEqual({ text, sentBeforeItsEnd: 0 });
  });

  it("requests of every kind arrive, and so do their responses", async () => {
    const got = await page.evaluate(async (url) => {
      const { mte } = globalThis as unknown as PageGlobals;
      const client = mte.createRelayClient({ url });
      const answers: Record<string, unknown>[] = [];
      for (const encodeType of ["MKE", "MTE"] as const) {
        for (const encodeUrl of [true, false]) {
          for (const encodeHeaders of [true, false, ["x-one"]]) {
            for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
              const init = { method, headers: { "x-one": "1", "x-two": "2" } };
              const body = method === "GET" ? {} : { body: "the body" };
              const options = { encodeType, encodeUrl, encodeHeaders };
              const response = await client.fetch("/echo?a=b%20c", { ...init, ...body }, options);
              const { headers, ...echo } = (await response.json()) as Echo;
              answers.push({
                ...echo,
                type: response.headers.get("content-type"),
                one: headers["x-one"],
                two: headers["x-two"],
              });
            }
          }
        }
      }
      return answers;
    }, relay.url);
    expect(got.length).toBe(60);
    for (const answer of got) {
      const text = answer.method === "GET" ? "" : "the body";
      expect(answer).toMatchObject({
        url: "/echo?a=b%20c",
        text,
        type: "application/json",
        one: "1",
        two: "2",
      });
    }
  });

  it("the options of a client do what they say", async () => {
    // A reverse proxy in front of the relay that removes a path prefix.
    proxy.request = (passing) => {
      passing.path = passing.path.replace(/^\/under\/a\/path/, "");
    };
    const got = await page.evaluate(
      async ({ url, proxied }) => {
        const { mte } = globalThis as unknown as PageGlobals;
        const kems: string[] = [];
        for (const kem of ["ml-kem-512", "ml-kem-768", "ml-kem-1024", mte.xWing] as const) {
          const debug: Parameters<typeof mte.createRelayClient>[0]["debug"] = (event) => {
            if (event.type === "paired") kems.push(`${event.pairs} by ${event.kem}`);
          };
          const client = mte.createRelayClient({ url, kem, numberOfPairs: 2, debug });
          await (await client.fetch("/echo")).json();
        }

        const first = mte.createRelayClient({ url });
        await first.pair();
        const { clientId } = first;
        const again = mte.createRelayClient({ url, clientId: clientId! });
        await again.fetch("/echo");

        let pairings = 0;
        const count = (event: { type: string }) => {
          if (event.type === "paired") pairings++;
        };
        const hasty = mte.createRelayClient({ url, numberOfPairs: 1, pairIdle: 50, debug: count });
        await hasty.fetch("/echo");
        await new Promise((resolve) => setTimeout(resolve, 100));
        await hasty.fetch("/echo");

        const large = { method: "POST", body: mte.pattern(3 << 20) };
        const ofType = { url, encodeType: "MTE", maxMteBody: 8 << 20 } as const;
        const thrown = await mte
          .createRelayClient(ofType)
          .fetch("/echo", large)
          .catch((error) => `${error.name} ${error.kind} ${error.status}`);
        const given = await mte
          .createRelayClient({ ...ofType, relayErrors: "response" })
          .fetch("/echo", large);
        const own = await mte
          .createRelayClient({ ...ofType, maxMteBody: 1000 })
          .fetch("/echo", large)
          .catch((error) => error.kind);

        const sent: string[] = [];
        const spy: typeof fetch = (input, init) => {
          sent.push(new URL(String(input)).pathname.slice(0, 24));
          return fetch(input, init);
        };
        const prefixed = mte.createRelayClient({
          url: `${proxied}/under/a/path`,
          fetch: spy,
          numberOfPairs: 1,
        });
        const progress: number[] = [];
        const options = { onDownloadProgress: ({ loaded }: { loaded: number }) => progress.push(loaded) };
        const through = await (await prefixed.fetch("/bytes?n=200000", {}, options)).arrayBuffer();
        return {
          kems,
          same: again.clientId === clientId,
          pairings,
          errors: [thrown, given.status, own],
          sent,
          read: [through.byteLength, progress.at(-1)],
        };
      },
      { url: relay.url, proxied: proxy.url },
    );
    proxy.request = undefined;
    expect(got).toEqual({
      kems: ["2 by ml-kem-512", "2 by ml-kem-768", "2 by ml-kem-1024", "2 by x-wing"],
      same: true,
      pairings: 2,
      errors: ["MteRelayError relay 413", 413, "request"],
      sent: ["/under/a/path/api/mte-re", "/under/a/path/api/mte-pa", "/under/a/path/AQEAAAAAAA"],
      read: [200_000, 200_000],
    });
  });

  it("responses have their status, their headers, and a body or none", async () => {
    const got = await page.evaluate(async (url) => {
      const { mte } = globalThis as unknown as PageGlobals;
      await mte.initMteRelayClient({ url, numberOfPairs: 2 });
      const all = [];
      for (const code of [200, 204, 304, 404, 500]) {
        const response = await mte.mteFetch(`/status?code=${code}`);
        all.push([response.status, response.headers.get("x-status"), response.type, await response.text()]);
      }
      const head = await mte.mteFetch("/echo", { method: "HEAD" });
      const empty = await mte.mteFetch("/empty");
      const redirected = await mte.mteFetch("/redirect?to=/echo%3Fx=1");
      const manual = await mte.mteFetch("/redirect?to=/echo", { redirect: "manual" });
      return {
        all,
        rest: [
          head.body,
          await empty.text(),
          redirected.url,
          redirected.redirected,
          manual.status,
          manual.headers.get("location"),
        ],
      };
    }, relay.url);
    expect(got.all).toEqual([
      [200, "200", "cors", "status 200"],
      [204, "204", "cors", ""],
      [304, "304", "cors", ""],
      [404, "404", "cors", "status 404"],
      [500, "500", "cors", "status 500"],
    ]);
    expect(got.rest).toEqual([null, "", `${relay.url}/echo?x=1`, true, 302, "/echo"]);
  });

  it("bodies of 10 MiB arrive complete: bytes, a Blob, a form, a Request, a stream; and back", async () => {
    const got = await page.evaluate(async (url) => {
      const { mte } = globalThis as unknown as PageGlobals;
      const client = mte.createRelayClient({ url, numberOfPairs: 1 });
      const bytes = mte.pattern(10 << 20);
      const expected = await mte.sha256(bytes);
      const blob = new Blob([bytes]);
      const form = new FormData();
      form.set("file", blob);
      const post = { method: "POST", duplex: "half" };
      const sums: Record<string, unknown> = {};
      for (const [kind, body] of Object.entries({ bytes, blob, stream: blob.stream() })) {
        sums[kind] = (await (await client.fetch("/echo", { ...post, body })).json()).sha256 === expected;
      }
      const request = new Request(`${url}/echo`, { method: "POST", body: blob });
      sums.request = (await (await client.fetch(request)).json()).sha256 === expected;
      const sent = await (await client.fetch("/echo", { ...post, body: form })).json();
      sums.form = sent.length > bytes.length && /^multipart/.test(sent.headers["content-type"]);
      const down = await client.fetch(`/bytes?n=${10 << 20}`);
      sums.down = (await mte.sha256(await down.arrayBuffer())) === expected;
      const unknown = await client.fetch(`/bytes?known=0&n=${10 << 20}`);
      sums.unknown = (await mte.sha256(await unknown.arrayBuffer())) === expected;
      return sums;
    }, relay.url);
    const names = ["bytes", "blob", "stream", "request", "form", "down", "unknown"];
    expect(got).toEqual(Object.fromEntries(names.map((name) => [name, true])));
  });

  it("a body streams as the upstream sends it, and server-sent events arrive one by one", async () => {
    const got = await page.evaluate(async (url) => {
      const { mte } = globalThis as unknown as PageGlobals;
      const client = mte.createRelayClient({ url, numberOfPairs: 1 });
      const reader = (await client.fetch("/drip?n=4&ms=80")).body!.getReader();
      const times: number[] = [];
      for (let read = await reader.read(); !read.done; read = await reader.read())
        times.push(performance.now());
      const source = new mte.MteEventSource("/sse?n=3&ms=20&end", { fetch: client.fetch });
      const ids: string[] = [];
      source.addEventListener("odd", (event) => ids.push((event as MessageEvent).lastEventId));
      source.onmessage = (event) => ids.push(event.lastEventId);
      await new Promise<void>((resolve) => {
        source.onerror = () => source.readyState === source.CLOSED && resolve();
      });
      return { spread: times.at(-1)! - times[0]!, ids };
    }, relay.url);
    expect(got.spread).toBeGreaterThan(150);
    expect(got.ids).toEqual(["1", "2", "3"]);
  });

  it("an abort ends its own request and nothing else", async () => {
    const got = await page.evaluate(async (url) => {
      const { mte } = globalThis as unknown as PageGlobals;
      const client = mte.createRelayClient({ url, numberOfPairs: 1 });
      const names: string[] = [];
      for (const path of ["/slow?ms=5000", "/bytes?n=200000000"]) {
        const abort = new AbortController();
        setTimeout(() => abort.abort(), 100);
        await client
          .fetch(path, { signal: abort.signal })
          .then((response) => response.arrayBuffer())
          .catch((error: Error) => names.push(error.name));
      }
      const timeout = await client
        .fetch("/slow?ms=5000", { signal: AbortSignal.timeout(50) })
        .catch((error) => error.name);
      return [...names, timeout, (await client.fetch("/echo")).status];
    }, relay.url);
    expect(got).toEqual(["AbortError", "AbortError", "TimeoutError", 200]);
  });

  it("an upload's progress is reported, and cookies are sent with credentials", async () => {
    const got = await page.evaluate(async (url) => {
      const { mte } = globalThis as unknown as PageGlobals;
      const client = mte.createRelayClient({ url, numberOfPairs: 1 });
      const seen: { loaded: number; total?: number | undefined }[] = [];
      const body = mte.pattern(30 << 20);
      const response = await client.fetch(
        "/echo",
        { method: "POST", body },
        { onUploadProgress: (at) => seen.push(at) },
      );
      const { sha256 } = await response.json();
      const credentials = "include" as const;
      await (await client.fetch("/cookies", { credentials })).text();
      const cookies = await (await client.fetch("/cookies", { credentials })).text();
      const without = await (await client.fetch("/cookies", { credentials: "omit" })).text();
      return {
        whole: sha256 === (await mte.sha256(body)),
        last: seen.at(-1),
        count: seen.length,
        cookies,
        without,
      };
    }, relay.url);
    expect(got).toMatchObject({ whole: true, last: { loaded: 30 << 20, total: 30 << 20 }, without: "none" });
    expect(got.count).toBeGreaterThan(0);
    expect(got.cookies).toContain("a=1");
  });

  it("100 concurrent requests in each of three tabs all get their own responses", async () => {
    const tabs = await Promise.all([0, 1, 2].map(() => browser.open()));
    const rights = await Promise.all(
      tabs.map((tab, index) =>
        tab.evaluate(
          async ({ url, index }) => {
            const { mte } = globalThis as unknown as PageGlobals;
            const client = mte.createRelayClient({ url });
            const one = async (n: number) => {
              const body = `tab ${index} request ${n}`;
              const response = await client.fetch(`/echo?n=${n}`, { method: "POST", body });
              const got = (await response.json()) as Echo;
              return got.text === body && got.url === `/echo?n=${n}`;
            };
            const all = await Promise.all(Array.from({ length: 100 }, (_, n) => one(n)));
            return all.filter(Boolean).length;
          },
          { url: relay.url, index },
        ),
      ),
    );
    expect(rights).toEqual([100, 100, 100]);
    await Promise.all(tabs.map((tab) => tab.context().close()));
  });

  it("a client pairs again once with a relay that restarts in between", async () => {
    const before = await page.evaluate(async (url) => {
      const { mte } = globalThis as unknown as PageGlobals;
      const paired: unknown[] = [];
      const client = mte.createRelayClient({
        url,
        debug: (event) => event.type === "paired" && paired.push(event.reason),
      });
      Object.assign(globalThis, { session: { client, paired } });
      return (await client.fetch("/echo")).status;
    }, relay.url);
    await relay.restart();
    const after = await page.evaluate(async () => {
      const { client, paired } = (
        globalThis as unknown as {
          session: { client: ReturnType<PageGlobals["mte"]["createRelayClient"]>; paired: unknown[] };
        }
      ).session;
      const all = Array.from({ length: 8 }, () => client.fetch("/echo", { method: "PUT", body: "x" }));
      return { statuses: (await Promise.all(all)).map((response) => response.status), paired: paired.length };
    });
    expect(before).toBe(200);
    expect(after).toEqual({ statuses: Array(8).fill(200), paired: 2 });
  });

  it("tampering on the path is refused, and never accepted as a response", async () => {
    const attempt = (path: string) =>
      page.evaluate(
        async ({ url, path }) => {
          const { mte } = globalThis as unknown as PageGlobals;
          const client = mte.createRelayClient({ url, numberOfPairs: 1, resend: "never" });
          await client.pair();
          return client
            .fetch(path, { method: "POST", body: "a body of some length" })
            .then((response) => response.text())
            .then(() => "taken")
            .catch((error: Error) => `${error instanceof TypeError}: ${error.message}`);
        },
        { url: proxy.url, path },
      );
    proxy.request = ({ body }) => body.writeUInt8(body.readUInt8(40) ^ 1, 40);
    expect(await attempt("/echo")).toContain("true: the relay answered 562");
    proxy.request = undefined;
    proxy.response = ({ body }) => body.writeUInt8(body.at(-1)! ^ 1, body.length - 1);
    expect(await attempt("/echo")).toContain("true: the response was refused: its body does not open");
    proxy.response = (passing) => Object.assign(passing, { status: 201 });
    expect(await attempt("/echo")).toContain(":status is 200, expected 201");
    proxy.response = (passing) => Object.assign(passing, { body: passing.body.subarray(0, -20) });
    expect(await attempt("/drip?n=2&ms=1")).toContain("no final frame");
    proxy.response = (passing) => Object.assign(passing, { body: Buffer.alloc(0) });
    expect(await attempt("/drip?n=2&ms=1")).toContain("announce a body, and it has none");
    proxy.response = () => "cut";
    expect(await attempt("/bytes?n=300000")).toContain("true: ");
    proxy.response = ({ headers }) => delete headers["x-mte-relay-eh"];
    expect(await attempt("/echo")).toContain("it is not sealed (status 200)");
    proxy.response = (passing) => {
      passing.status = 302;
      passing.headers.location = "https://evil.example/";
    };
    expect(await attempt("/echo")).toMatch(/^true: /);
    proxy.response = undefined;
    expect(await attempt("/echo")).toBe("taken");
  });

  it("works in a web worker and as a service worker, for a page that only uses fetch", async () => {
    const inWorker = await page.evaluate(
      (relay) =>
        new Promise((resolve) => {
          const worker = new Worker("/worker.js", { type: "module" });
          worker.onmessage = ({ data }) => resolve(data);
          worker.postMessage({ relay, path: "/status?code=200" });
        }),
      relay.url,
    );
    expect(inWorker).toBe("status 200");
    const tab = await browser.open();
    upstream.seen.length = 0;
    const got = await tab.evaluate(async (relay) => {
      await navigator.serviceWorker.register(`/sw.js?relay=${encodeURIComponent(relay)}`, { type: "module" });
      await navigator.serviceWorker.ready;
      while (!navigator.serviceWorker.controller) await new Promise((resolve) => setTimeout(resolve, 20));
      const response = await fetch(`${relay}/echo?from=page`, {
        method: "POST",
        body: "plain fetch",
        headers: { "x-a": "1" },
      });
      const { text, url, headers } = (await response.json()) as Echo;
      return [text, url, headers["x-a"], response.url];
    }, relay.url);
    expect(got).toEqual(["plain fetch", "/echo?from=page", "1", `${relay.url}/echo?from=page`]);
    await tab.context().close();
  });

  it("errors explain a missing CORS origin and an insecure context", async () => {
    const other = await startRelay({
      upstreamPort: upstream.port,
      corsOrigins: ["https://another.example"],
    });
    const blocked = await page.evaluate(async (url) => {
      const { mte } = globalThis as unknown as PageGlobals;
      return mte
        .createRelayClient({ url })
        .fetch("/")
        .catch((error: Error) => `${error instanceof TypeError}: ${error.message}`);
    }, other.url);
    expect(blocked).toMatch(/^true: /);
    await other.stop();
    const tab = await browser.browser.newPage();
    await tab.goto(browser.insecureOrigin);
    await tab.waitForFunction(() => "mte" in globalThis);
    const insecure = await tab.evaluate(async (url) => {
      const { mte } = globalThis as unknown as PageGlobals;
      return mte
        .createRelayClient({ url })
        .fetch("/")
        .catch((error: Error) => error.message);
    }, relay.url);
    expect(insecure).toContain(
      "WebCrypto is missing; browsers provide it only on https:// pages and on localhost",
    );
    await tab.close();
    await pause(1);
  });
});
