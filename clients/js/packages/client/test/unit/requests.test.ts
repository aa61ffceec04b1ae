import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createRelayClient, MteRelayError, type RelayClient, type RelayEvent } from "../../src/index.js";
import { FakeRelay, type Opened } from "../support/fake-relay.js";
import { pattern, pause } from "../support/upstream.js";

let relay: FakeRelay;
let client: RelayClient;
beforeEach(async () => {
  relay = await FakeRelay.start();
  client = createRelayClient({ url: relay.url, numberOfPairs: 1, maxMteBody: 1000 });
});
afterEach(() => relay.stop());

/** Not in TypeScript's library yet. */
const streamOf = (source: Iterable<unknown> | AsyncIterable<unknown>): ReadableStream =>
  (ReadableStream as unknown as { from(source: unknown): ReadableStream }).from(source);
const last = () => relay.requests.at(-1) as Opened;
const text = () => new TextDecoder().decode(last().body);

describe("a request", () => {
  it("seals its URL, its headers and its body, and binds its method and authority", async () => {
    const headers = { Authorization: "Bearer x", "X-Latin": "caf\u00e9", Accept: "a/b" };
    await client.fetch("/a%20b/ü?q=1&r=%2F#x", { method: "post", headers, body: "hello" });
    const { method, url, headers: sealed, outer, relayHeader, first } = last();
    expect([method, url, first]).toEqual(["POST", "/a%20b/%C3%BC?q=1&r=%2F", 0]);
    expect(Object.fromEntries(sealed)).toEqual({
      ":method": "POST",
      ":authority": new URL(relay.url).host,
      ":response-headers": "*",
      accept: "a/b",
      authorization: "Bearer x",
      "content-type": "text/plain;charset=UTF-8",
      "content-length": "5",
      "x-latin": "caf\u00e9",
    });
    expect(outer["content-type"]).toBe("application/octet-stream");
    for (const name of ["authorization", "x-latin"]) expect(outer[name]).toBeUndefined();
    expect(relayHeader).toMatchObject({
      encodeType: "MKE",
      urlEncoded: true,
      headersEncoded: true,
      bodyEncoded: true,
    });
    expect(text()).toBe("hello");
  });

  it("leaves in the clear what the options name", async () => {
    const headers = { traceparent: "1", "user-agent": "2" };
    const init = { method: "POST", headers, body: "{}" };
    const options = { encodeUrl: false, encodeHeaders: ["Traceparent"], encodeType: "MTE" } as const;
    await client.fetch("/clear?x", init, options);
    expect(last().url).toBe("/clear?x");
    expect(last().relayHeader).toMatchObject({ urlEncoded: false, encodeType: "MTE" });
    expect([last().headers.get("traceparent"), last().headers.has("user-agent")]).toEqual(["1", false]);
    expect([last().outer.traceparent, last().outer["user-agent"]]).toEqual([undefined, "2"]);
    expect(last().headers.get("content-type")).toBe("text/plain;charset=UTF-8");
  });

  it("seals every header that the relay would not accept in the clear, despite the options", async () => {
    const lost = {
      range: "bytes=0-1",
      "if-none-match": '"1"',
      prefer: "a",
      authorization: "Bearer x",
      "x-own": "1",
    };
    for (const encodeHeaders of [false, ["user-agent"]]) {
      const headers = { ...lost, cookie: "c=1", traceparent: "t" };
      await client.fetch("/", { method: "POST", headers, body: "{}" }, { encodeHeaders });
      const sealed = Object.fromEntries(last().headers);
      expect(sealed).toMatchObject({ ...lost, ":method": "POST", accept: "*/*" });
      expect(sealed["content-type"]).toBe("text/plain;charset=UTF-8");
      for (const name of Object.keys(lost)) expect(last().outer[name]).toBeUndefined();
      expect([last().outer.cookie, last().outer.traceparent]).toEqual(["c=1", "t"]);
      for (const name of ["cookie", "traceparent"]) expect(sealed[name]).toBeUndefined();
    }
  });

  it("seals what fetch itself would add", async () => {
    await client.fetch("/", { cache: "no-cache" });
    expect(last().headers.get("accept")).toBe("*/*");
    expect(last().headers.get("cache-control")).toBe("max-age=0");
    await client.fetch("/", { cache: "reload", headers: { accept: "a/b" } });
    expect(["accept", "cache-control", "pragma"].map((name) => last().headers.get(name))).toEqual([
      "a/b",
      "no-cache",
      "no-cache",
    ]);
    await client.fetch("/", { cache: "no-store", headers: { "cache-control": "max-age=7" } });
    expect(last().headers.get("cache-control")).toBe("max-age=7");
  });

  it("asks for all response headers sealed, or for those named", async () => {
    const asked = () => last().headers.get(":response-headers");
    await client.fetch("/");
    expect(asked()).toBe("*");
    await client.fetch("/", {}, { responseHeaders: ["X-Total", "x-page"] });
    expect(asked()).toBe("x-total,x-page,location");
    const { fetch } = createRelayClient({ url: relay.url, numberOfPairs: 1, responseHeaders: [] });
    await fetch("/");
    expect(asked()).toBe("location");
    await fetch("/", {}, { responseHeaders: "*" });
    expect(asked()).toBe("*");
  });

  it("keeps what belongs to the connection out of the sealed part", async () => {
    await client.fetch("/", {
      headers: { host: "evil", "x-mte-outbound-token": "t", te: "trailers", "x-ok": "1" },
    });
    expect([...last().headers.keys()]).toEqual([
      ":method",
      ":authority",
      ":response-headers",
      "accept",
      "x-ok",
    ]);
  });

  it.each<[string, BodyInit, string, string | undefined]>([
    ["text", "text", "text", "text/plain;charset=UTF-8"],
    [
      "parameters",
      new URLSearchParams({ a: "1 2" }),
      "a=1+2",
      "application/x-www-form-urlencoded;charset=UTF-8",
    ],
    ["a buffer", new TextEncoder().encode("buffer").buffer, "buffer", undefined],
    ["part of a buffer", new TextEncoder().encode("-view-").subarray(1, 5), "view", undefined],
    ["a Blob", new Blob(["blob"], { type: "x/y" }), "blob", "x/y"],
  ])("takes %s as its body", async (_, body, expected, type) => {
    await client.fetch("/", { method: "PUT", body });
    expect([text(), last().headers.get("content-type")]).toEqual([expected, type]);
    expect(last().headers.get("content-length")).toBe(String(expected.length));
  });

  it("takes FormData as its body, with files", async () => {
    const form = new FormData();
    form.set("field", "value");
    form.set("file", new File(["content"], "a.txt", { type: "text/plain" }));
    await client.fetch("/", { method: "POST", body: form });
    const type = last().headers.get("content-type")!;
    expect(type).toMatch(/^multipart\/form-data; boundary=/);
    const parsed = await new Response(last().body, { headers: { "content-type": type } }).formData();
    expect(parsed.get("field")).toBe("value");
    expect(await (parsed.get("file") as File).text()).toBe("content");
  });

  it("takes a stream as its body, and sends each piece as it comes", async () => {
    const events: RelayEvent[] = [];
    const { fetch } = createRelayClient({
      url: relay.url,
      numberOfPairs: 1,
      debug: (event) => void events.push(event),
    });
    async function* pieces() {
      for (const piece of ["one ", "two ", "", "three"]) {
        await pause(5);
        yield new TextEncoder().encode(piece);
      }
    }
    for (const body of [pieces(), streamOf(pieces())]) {
      await fetch("/", { method: "POST", body, duplex: "half" } as RequestInit);
      expect(text()).toBe("one two three");
      expect(last().headers.has("content-length")).toBe(false);
    }
    const chunks = events.filter((event) => event.type === "request-chunk");
    expect(chunks.map((chunk) => chunk.plain.length)).toEqual([4, 4, 5, 0, 4, 4, 5, 0]);
    const empty = new Blob([]).stream();
    await fetch("/", { method: "POST", body: empty, duplex: "half" } as RequestInit);
    expect([last().body.length, last().relayHeader.bodyEncoded]).toEqual([0, true]);
    await expect(
      fetch("/", { method: "POST", body: streamOf(["text"]), duplex: "half" } as RequestInit),
    ).rejects.toBeInstanceOf(TypeError);
  });

  it("buffers a stream first if the option says so", async () => {
    const body = new Blob(["gathered"]).stream();
    await client.fetch("/", { method: "POST", body, duplex: "half" } as RequestInit, { uploads: "buffer" });
    expect([text(), last().headers.get("content-length")]).toEqual(["gathered", "8"]);
  });

  it("sends a large Blob in full frames, streamed or buffered", async () => {
    const bytes = pattern((5 << 20) + 17);
    for (const uploads of ["stream", "buffer"] as const) {
      await client.fetch("/", { method: "POST", body: new Blob([bytes]) }, { uploads });
      expect(last().body.length).toBe(bytes.length);
      expect(Buffer.compare(last().body, bytes)).toBe(0);
      expect(last().headers.get("content-length")).toBe(String(bytes.length));
    }
  });

  it("takes a Request, alone or with an init that overrides it", async () => {
    const request = new Request(`${relay.url}/r`, {
      method: "POST",
      body: "of the request",
      headers: { "x-a": "1" },
    });
    await client.fetch(request.clone());
    expect([last().method, last().url, text(), last().headers.get("x-a")]).toEqual([
      "POST",
      "/r",
      "of the request",
      "1",
    ]);
    await client.fetch(request, { method: "PUT", headers: { "x-b": "2" } });
    expect([last().method, text(), last().headers.has("x-a"), last().headers.get("x-b")]).toEqual([
      "PUT",
      "of the request",
      false,
      "2",
    ]);
    expect(request.bodyUsed).toBe(true);
    await client.fetch(
      "/other",
      new Request(relay.url, { method: "PATCH", body: "kept", headers: { "x-c": "3" } }),
    );
    expect([last().method, last().url, text(), last().headers.get("x-c")]).toEqual([
      "PATCH",
      "/other",
      "kept",
      "3",
    ]);
    await client.fetch(new URL("/u", relay.url));
    expect(last().url).toBe("/u");
  });

  it("has no body if the body is empty, but still a type", async () => {
    await client.fetch("/", { method: "POST", body: "" });
    expect([last().relayHeader.bodyEncoded, last().headers.get("content-type")]).toEqual([
      false,
      "text/plain;charset=UTF-8",
    ]);
  });

  it("is refused, as fetch does, for what cannot be sent", async () => {
    const cases: [string, RequestInit | undefined, string | undefined][] = [
      ["/", { body: "x" }, undefined],
      ["/", { method: "TRACE" }, undefined],
      ["/", { headers: { "a b": "x" } }, undefined],
      ["http://user:pw@127.0.0.1/", undefined, undefined],
      ["http://other.example/", undefined, "is not this client's relay"],
      ["/", { mode: "no-cors" }, "hides the response"],
      ["/", { integrity: "sha256-x" }, "integrity is not supported"],
      ["/", { method: "POST", body: "x".repeat(1001) }, "more than 1000 bytes"],
    ];
    for (const [url, init, message] of cases) {
      const error: unknown = await client
        .fetch(url, init, { encodeType: "MTE" })
        .catch((reason: unknown) => reason);
      expect(error, `${url} ${JSON.stringify(init)}`).toBeInstanceOf(TypeError);
      if (message) expect((error as Error).message).toContain(message);
    }
    expect(relay.requests.length).toBe(0);
  });

  it("that cannot connect rejects with the platform's TypeError", async () => {
    const gone = createRelayClient({ url: "http://127.0.0.1:9" });
    const error: unknown = await gone.fetch("/").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TypeError);
    expect(error).not.toBeInstanceOf(MteRelayError);
  });
});

describe("an abort", () => {
  it("before the request, while it waits, and in its body rejects with the signal's reason", async () => {
    await expect(client.fetch("/", { signal: AbortSignal.abort("why") })).rejects.toBe("why");
    expect(relay.hellos).toBe(0);
    relay.answer = () => ({ before: pause(5000), body: "late" });
    const waiting = new AbortController();
    const first = client.fetch("/", { signal: waiting.signal });
    setTimeout(() => waiting.abort(), 30);
    await expect(first).rejects.toMatchObject({ name: "AbortError" });
    await expect(client.fetch("/", { signal: AbortSignal.timeout(30) })).rejects.toMatchObject({
      name: "TimeoutError",
    });
    relay.answer = () => ({ body: pattern(5 << 20), pieces: 10_000 });
    const reading = new AbortController();
    const response = await client.fetch("/", { signal: reading.signal });
    const reader = response.body!.getReader();
    await reader.read();
    reading.abort();
    await expect(
      (async () => {
        while (!(await reader.read()).done) {}
      })(),
    ).rejects.toMatchObject({ name: "AbortError" });
    relay.answer = () => ({ body: "the pair still works" });
    expect(await (await client.fetch("/")).text()).toBe("the pair still works");
    expect(relay.pairings.length).toBe(1);
  });
});

describe("a redirect", () => {
  beforeEach(() => {
    relay.answer = ({ method, url, body }) => {
      const [, code, rest] = /^\/(30\d)(.*)$/.exec(url) ?? [];
      if (code === undefined) return { body: `${method} ${url} ${new TextDecoder().decode(body)}` };
      return { status: Number(code), headers: { location: rest || "/done" } };
    };
  });

  it.each([
    [301, "POST", "GET /done "],
    [302, "POST", "GET /done "],
    [303, "PUT", "GET /done "],
    [301, "PUT", "PUT /done body"],
    [307, "POST", "POST /done body"],
    [308, "POST", "POST /done body"],
  ])("of status %i to %s is followed as fetch follows it", async (status, method, expected) => {
    const response = await client.fetch(`/${status}`, { method, body: "body", headers: { "x-a": "1" } });
    expect(await response.text()).toBe(expected);
    expect([response.redirected, response.url]).toEqual([true, `${relay.url}/done`]);
    expect(last().headers.get("x-a")).toBe("1");
    expect(last().headers.has("content-type")).toBe(expected.endsWith("body"));
  });

  it("is returned or refused as the request's redirect mode says", async () => {
    const manual = await client.fetch("/302/x", { redirect: "manual" });
    expect([manual.status, manual.headers.get("location")]).toEqual([302, "/x"]);
    await expect(client.fetch("/302/x", { redirect: "error" })).rejects.toMatchObject({ kind: "redirect" });
  });

  it("is not followed forever, away from the relay, or with a body that was already read", async () => {
    await expect(client.fetch("/302/302/302"))
      .resolves.toMatchObject({ status: 200 })
      .catch(() => {});
    relay.answer = () => ({ status: 302, headers: { location: "/again" } });
    await expect(client.fetch("/")).rejects.toThrow("more than 20 redirects");
    relay.answer = () => ({ status: 302, headers: { location: "https://evil.example/x" } });
    await expect(client.fetch("/")).rejects.toThrow("away from the relay, to https://evil.example");
    relay.answer = () => ({ status: 307, headers: { location: "/x" } });
    const body = new Blob(["x"]).stream();
    await expect(client.fetch("/", { method: "POST", body, duplex: "half" } as RequestInit)).rejects.toThrow(
      "cannot be sent again",
    );
    expect(relay.requests.length).toBeLessThan(40);
  });
});

describe("progress", () => {
  it("is reported for downloads and uploads, in plaintext bytes", async () => {
    const up: unknown[] = [];
    const down: { loaded: number; total?: number | undefined }[] = [];
    relay.answer = () => ({ body: pattern(150_000), headers: { "content-length": "150000" } });
    const options = {
      onUploadProgress: (progress: unknown) => void up.push(progress),
      onDownloadProgress: (progress: (typeof down)[number]) => void down.push(progress),
    };
    const body = new Blob([pattern(5 << 20)]);
    const response = await client.fetch("/", { method: "POST", body }, { ...options, uploads: "stream" });
    await response.arrayBuffer();
    expect(up.at(-1)).toEqual({ loaded: 5 << 20, total: 5 << 20 });
    expect(up.length).toBe(80);
    expect(down.at(-1)).toEqual({ loaded: 150_000, total: 150_000 });
    up.length = 0;
    await client.fetch("/", { method: "POST", body: "short" }, options);
    expect(up).toEqual([{ loaded: 5, total: 5 }]);
  });
});

describe("options", () => {
  it.each<[string, () => unknown, string]>([
    ["something that is not a URL", () => createRelayClient({ url: "relay" }), 'url "relay" is not a URL'],
    [
      "another scheme",
      () => createRelayClient({ url: "ftp://relay" }),
      "must start with https:// or http://",
    ],
    ["a password", () => createRelayClient({ url: "https://a:b@relay" }), "password"],
    ["a query", () => createRelayClient({ url: "https://relay/?a" }), "query"],
    ["no pairs", () => createRelayClient({ url: relay.url, numberOfPairs: 0 }), "choose 1 to 100"],
    ["an unknown KEM", () => createRelayClient({ url: relay.url, kem: "rsa" as never }), "choose ml-kem-512"],
    [
      "an unknown type",
      () => createRelayClient({ url: relay.url, encodeType: "AES" as never }),
      "choose MKE, MTE",
    ],
    [
      "a header of the connection",
      () => createRelayClient({ url: relay.url, encodeHeaders: ["Host"] }),
      "header host",
    ],
    [
      "a response header of the browser",
      () => createRelayClient({ url: relay.url, responseHeaders: ["Set-Cookie"] }),
      "set-cookie stays in the clear",
    ],
    [
      "a response header with an invalid name",
      () => createRelayClient({ url: relay.url, responseHeaders: ["a,b"] }),
      '"a,b" is not a header name',
    ],
    [
      "response headers that are not a list",
      () => createRelayClient({ url: relay.url, responseHeaders: "etag" as never }),
      'give "*", or a list',
    ],
    ["no lifetime", () => createRelayClient({ url: relay.url, pairMaxAge: 0 }), "pairMaxAge is 0"],
  ])("are refused immediately: %s", (_, make, message) => {
    expect(make).toThrow(message);
    expect(make).toThrow(MteRelayError);
  });

  it("may name a path prefix, which stays in the clear", async () => {
    const urls: string[] = [];
    const spy: typeof fetch = async (input, init) => {
      urls.push(new URL(String(input)).pathname);
      return fetch(String(input).replace("/mte/relay", ""), init);
    };
    const prefixed = createRelayClient({ url: `${relay.url}/mte/relay/`, fetch: spy, numberOfPairs: 1 });
    await (await prefixed.fetch("/inner?x")).text();
    expect(urls.slice(0, 2)).toEqual(["/mte/relay/api/mte-relay", "/mte/relay/api/mte-pair"]);
    expect(urls[2]).toMatch(/^\/mte\/relay\/AQ/);
    expect(last().url).toBe("/inner?x");
  });

  it("may ask for every event, and no event contains a key", async () => {
    const events: RelayEvent[] = [];
    const { fetch } = createRelayClient({
      url: relay.url,
      numberOfPairs: 1,
      debug: (event) => void events.push(event),
    });
    relay.refusals = [562];
    await (await fetch("/x", { method: "PUT", body: "hello" })).text();
    expect(events.map((event) => event.type)).toEqual([
      "client-id",
      "paired",
      "request",
      "request-chunk",
      "response",
      "retry",
      "paired",
      "request",
      "request-chunk",
      "response",
      "response-chunk",
    ]);
    const request = events.find((event) => event.type === "request")!;
    expect(
      request.parts.map((part) => [part.kind, part.place, part.number, part.plainLength, part.wireLength]),
    ).toEqual([
      ["url", 0x02, 0, 1, 47],
      ["headers", 0x11, 1, expect.any(Number), expect.any(Number)],
      ["body", 0xa0, 2, 5, 51],
    ]);
    const chunk = events.find((event) => event.type === "request-chunk")!;
    expect([new TextDecoder().decode(chunk.plain), chunk.wire.length, chunk.last]).toEqual([
      "hello",
      51,
      true,
    ]);
  });
});
