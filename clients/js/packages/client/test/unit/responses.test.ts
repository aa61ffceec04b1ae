import { gzipSync } from "node:zlib";
import { fromBase64, toBase64 } from "@mte-relay/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createRelayClient, MteRelayError, type RefusalCode, type RelayClient } from "../../src/index.js";
import { type Answer, FakeRelay } from "../support/fake-relay.js";
import { pattern, pause } from "../support/upstream.js";

let relay: FakeRelay;
let client: RelayClient;
beforeEach(async () => {
  relay = await FakeRelay.start();
  client = createRelayClient({ url: relay.url, numberOfPairs: 1, maxMteBody: 100_000 });
});
afterEach(() => relay.stop());

const answer = (one: Answer) => {
  relay.answer = () => one;
};
const flip = (message: Uint8Array, at: number) => {
  const changed = new Uint8Array(message);
  changed[at]! ^= 1;
  return changed;
};

describe("a response", () => {
  it("has the sealed headers in place of the outer ones", async () => {
    answer({
      status: 201,
      headers: { "content-type": "application/json", "x-secret": "sealed", "content-length": "2" },
      outer: { "set-cookie": ["a=1", "b=2"], date: "Mon, 30 Nov 2026 13:44:39 GMT", "alt-svc": "clear" },
      body: "{}",
    });
    const response = await client.fetch("/a/b?c=d#e", { headers: { "x-secret": "?" } });
    expect(response.status).toBe(201);
    expect(response.ok).toBe(true);
    expect(response.url).toBe(`${relay.url}/a/b?c=d`);
    expect(response.redirected).toBe(false);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "application/json",
      "x-secret": "sealed",
      "alt-svc": "clear",
      date: "Mon, 30 Nov 2026 13:44:39 GMT",
      "content-length": "2",
    });
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    for (const name of ["x-mte-relay", "x-mte-relay-eh"]) expect(response.headers.has(name)).toBe(false);
    const clone = response.clone();
    expect(clone.url).toBe(response.url);
    expect([await response.json(), await clone.text()]).toEqual([{}, "{}"]);
  });

  const forged = {
    "x-forged": "1",
    location: "/x",
    "content-type": "text/html",
    "content-encoding": "identity",
    "content-language": "xx",
    "content-range": "bytes 0-0/1",
    "content-disposition": "attachment",
    digest: "x",
    "content-digest": "x",
    "repr-digest": "x",
    "content-md5": "x",
    etag: '"x"',
    "last-modified": "x",
    "accept-ranges": "bytes",
    "cache-control": "public, max-age=9",
    expires: "x",
    age: "9",
    vary: "x",
    link: "</x>; rel=next",
  };

  it("ignores headers in the clear that the relay would have sealed", async () => {
    answer({ outer: forged, body: "x" });
    const { headers } = await client.fetch("/");
    for (const name of [...Object.keys(forged), "content-length"])
      expect(headers.has(name), name).toBe(false);
  });

  it("has no clear header of a name in the list, or sealed in the request; the rest stays", async () => {
    answer({ outer: { ...forged, "x-listed": "f", "x-asked": "f", "x-open": "clear" }, body: "x" });
    const options = { responseHeaders: ["X-Listed"] };
    const { headers } = await client.fetch("/", { headers: { "x-asked": "?" } }, options);
    const { "x-forged": _, link: __, ...sealed } = forged;
    for (const name of [...Object.keys(sealed), "x-listed", "x-asked", "content-length"]) {
      expect(headers.has(name), name).toBe(false);
    }
    expect(headers.get("x-open")).toBe("clear");
    expect(headers.get("x-forged")).toBe("1");
  });

  it("has the upstream's headers, sealed or as the list says in the clear", async () => {
    const upstream = { "x-total": "17", etag: '"1"', "content-type": "text/plain", date: "today" };
    for (const responseHeaders of ["*", ["x-total"], []] as const) {
      answer({ headers: upstream, body: "x" });
      const { headers } = await client.fetch("/", {}, { responseHeaders });
      expect(Object.fromEntries(headers)).toMatchObject(upstream);
      expect(headers.has("cache-control")).toBe(false);
    }
  });

  it.each([
    [204, "GET"],
    [304, "GET"],
    [200, "HEAD"],
  ])("of status %i to %s has no body", async (status, method) => {
    answer({ status, headers: { "content-length": "17" } });
    const response = await client.fetch("/", { method });
    expect(response.body).toBeNull();
    expect(response.headers.get("content-length")).toBe("17");
  });

  it("of an empty body is empty, announced or not", async () => {
    for (const one of [{ body: "" }, {}]) {
      answer(one);
      expect(await (await client.fetch("/")).text()).toBe("");
    }
    answer({ body: "the pair still works" });
    expect(await (await client.fetch("/")).text()).toBe("the pair still works");
  });

  it("opens wherever its body is cut into pieces", async () => {
    const body = pattern(200_000);
    for (const pieces of [997, 70_000]) {
      answer({ body, pieces });
      expect(new Uint8Array(await (await client.fetch("/")).arrayBuffer())).toEqual(body);
    }
  });

  it("of type MTE opens as a whole", async () => {
    answer({ body: pattern(90_000), headers: { "content-type": "a/b" } });
    const response = await client.fetch("/", {}, { encodeType: "MTE" });
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(pattern(90_000));
    answer({ body: "" });
    expect(await (await client.fetch("/", {}, { encodeType: "MTE" })).text()).toBe("");
  });

  it("is decompressed if the sealed headers say that it is compressed", async () => {
    answer({
      headers: { "content-encoding": "gzip", "content-type": "text/plain" },
      body: gzipSync("compressed"),
    });
    expect(await (await client.fetch("/")).text()).toBe("compressed");
    answer({ headers: { "content-encoding": "unheard-of" }, body: "x" });
    const failure = { code: "content-coding", message: expect.stringContaining("unheard-of") };
    await expect(client.fetch("/")).rejects.toMatchObject(failure);
    // What an attacker says in the clear about the coding does not count.
    answer({
      outer: { "content-encoding": "unheard-of" },
      headers: { "content-type": "a/b" },
      body: "plain",
    });
    expect(await (await client.fetch("/")).text()).toBe("plain");
  });

  it("can be left unread, cancelled, and read by several readers one after the other", async () => {
    answer({ body: pattern(500_000) });
    await client.fetch("/");
    await (await client.fetch("/")).body!.cancel();
    const reader = (await client.fetch("/")).body!.getReader();
    expect((await reader.read()).value!.length).toBeGreaterThan(0);
    await reader.cancel();
    answer({ body: "next" });
    expect(await (await client.fetch("/")).text()).toBe("next");
  });
});

describe("a response is refused", () => {
  it.each<[string, RefusalCode, Answer, string]>([
    [
      "without its sealed headers",
      "not-sealed",
      { tamper: () => ({ headers: [] }) },
      "it is not sealed (status 200)",
    ],
    [
      "without its sealed headers, flags and body adjusted",
      "not-sealed",
      { tamper: () => ({ headers: [], body: new TextEncoder().encode("forged") }), flags: "1,0,0,0" },
      "it is not sealed (status 200)",
    ],
    [
      "with sealed headers that are not base64",
      "sealed-headers",
      { tamper: () => ({ headers: "*" }) },
      "not base64",
    ],
    [
      "with two values of sealed headers",
      "sealed-headers",
      { tamper: (s) => ({ headers: [s.headers, s.headers] }) },
      "not base64",
    ],
    [
      "with a changed bit in its sealed headers",
      "sealed-headers",
      { tamper: (s) => ({ headers: toBase64(flip(fromBase64(s.headers), 40)) }) },
      "not authentic",
    ],
    [
      "with a changed place in its sealed headers",
      "sealed-headers",
      { tamper: (s) => ({ headers: toBase64(flip(fromBase64(s.headers), 1)) }) },
      "its sealed headers do not open",
    ],
    [
      "of another status",
      "other-exchange",
      { binding: { ":status": "201", ":request": "0" } },
      ":status is 201, expected 200",
    ],
    [
      "to another request",
      "other-exchange",
      { binding: { ":status": "200", ":request": "5" } },
      ":request is 5, expected 0",
    ],
    ["without a binding", "not-bound", { binding: {} }, "no :status"],
    ["without its request", "not-bound", { binding: { ":status": "200" } }, "no :request"],
    [
      "with a length that is not a number",
      "sealed-headers",
      { headers: { "content-length": "x" } },
      "content-length is not a number",
    ],
    ["that does not say whether it has a body", "unknown-body", { following: 15 }, "whether a body follows"],
    [
      "that does not say whether it has a body, and has none",
      "unknown-body",
      { following: 15, withoutBody: true },
      "whether a body follows",
    ],
  ])("%s: %s", async (_, code, one, message) => {
    answer({ body: "x", ...one });
    const error = await client.fetch("/").then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(MteRelayError);
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({ kind: "response", code });
    expect((error as Error).message).toContain(message);
  });

  const clear = new TextEncoder().encode("a body in the clear, long enough for a header") as never;
  it.each<[string, RefusalCode, Answer, string]>([
    ["was added", "clear-body", { following: 0 }, "a body that its sealed headers do not announce"],
    [
      "was added, and the flags say so",
      "clear-body",
      { following: 0, flags: "1,0,1,1" },
      "a body that its sealed headers do not announce",
    ],
    ["is missing", "missing-body", { withoutBody: true }, "announce a body, and it has none"],
    [
      "is missing, and flags and length say so",
      "missing-body",
      { withoutBody: true, flags: "1,0,1,0", outer: { "content-length": "0" } },
      "announce a body, and it has none",
    ],
    [
      "is in the clear, and the flags say so",
      "changed-body",
      { tamper: () => ({ body: clear }), flags: "1,0,1,0" },
      "its body does not open",
    ],
    [
      "has a changed bit",
      "changed-body",
      { tamper: (s) => ({ body: flip(s.body!, 60) as never }) },
      "not authentic",
    ],
    [
      "has another number",
      "changed-body",
      { tamper: (s) => ({ body: flip(s.body!, 9) as never }) },
      "not consecutive",
    ],
    ["does not say what follows", "changed-body", { bodyFollowing: 15 }, "out of place"],
    ["lacks its end", "cut-body", { tamper: (s) => ({ body: s.body!.slice(0, -20) as never }) }, "truncated"],
    ["has one byte", "cut-body", { tamper: (s) => ({ body: s.body!.slice(0, 1) as never }) }, "truncated"],
    [
      "continues after its end",
      "changed-body",
      { tamper: (s) => ({ body: new Uint8Array([...s.body!, 0]) }) },
      "trailing",
    ],
    [
      "is shorter than it says",
      "body-length",
      { headers: { "content-length": "2000" } },
      "content-length says 2000",
    ],
    [
      "is longer than it says",
      "body-length",
      { headers: { "content-length": "10" } },
      "content-length says 10",
    ],
  ])("while it is read, if its body %s: %s", async (_, code, one, message) => {
    answer({ body: "the body ".repeat(20), ...one });
    for (const encodeType of ["MKE", "MTE"] as const) {
      const response = await client.fetch("/", {}, { encodeType });
      const failure = { kind: "response", code, message: expect.stringContaining(message) };
      await expect(response.text()).rejects.toMatchObject(failure);
    }
  });

  it("if it was the response to another request", async () => {
    const bodies: (string | string[])[] = [];
    relay.answer = () => ({
      body: "x",
      tamper: (sealed) => {
        bodies.push(sealed.headers);
        return bodies.length > 1 ? { headers: bodies[0]! } : {};
      },
    });
    await (await client.fetch("/")).text();
    const failure = { code: "sealed-headers", message: expect.stringContaining("replayed") };
    await expect(client.fetch("/")).rejects.toMatchObject(failure);
  });

  it("if its body of type MTE is longer than the limit", async () => {
    answer({ body: pattern(100_001) });
    const response = await client.fetch("/", {}, { encodeType: "MTE" });
    const message = expect.stringContaining("more than 100000 bytes: raise maxMteBody");
    await expect(response.arrayBuffer()).rejects.toMatchObject({ code: "too-large", message });
  });

  it("if the connection breaks in its body, with the network's error", async () => {
    answer({
      body: pattern(100_000),
      tamper: (s) => ({ body: s.body!.slice(0, 70_000) as never }),
      destroy: true,
    });
    const reader = (await client.fetch("/")).body!.getReader();
    expect((await reader.read()).value).toEqual(pattern(65_536));
    await expect(reader.read()).rejects.toBeInstanceOf(TypeError);
  });
});

describe("the relay's own error", () => {
  it("rejects with its status, its text and its request id", async () => {
    relay.answer = () => ({
      plain: 502,
      body: '{"error":"the upstream\\u0007 is gone","status":502,"request_id":"q7"}',
    });
    await expect(client.fetch("/")).rejects.toMatchObject({
      name: "MteRelayError",
      kind: "relay",
      code: "relay",
      status: 502,
      requestId: "q7",
      message: "the relay answered 502: the upstream is gone",
    });
  });

  it("is a response if the option says so, except for 559 to 569", async () => {
    const { fetch } = createRelayClient({ url: relay.url, numberOfPairs: 1, relayErrors: "response" });
    relay.answer = () => ({ plain: 413 });
    const response = await fetch("/");
    expect([response.status, (await response.json()).request_id]).toEqual([413, "r-1"]);
    relay.refusals = [569];
    await expect(fetch("/")).rejects.toMatchObject({ status: 569 });
  });

  it("needs no text", async () => {
    relay.answer = () => ({ plain: 569, body: "" });
    await expect(client.fetch("/")).rejects.toThrow(
      "the relay answered 569: x-mte-relay, client id or pair id is missing",
    );
  });

  it("below 400 is neither an error of the relay nor a response", async () => {
    relay.answer = () => ({ plain: 200, body: "hello" });
    await expect(client.fetch("/")).rejects.toThrow("is this the address of an MTE relay");
  });
});

describe("back-pressure", () => {
  it("applies backpressure to the sender while the body is not read", async () => {
    answer({ body: pattern(20 << 20) });
    let read = 0;
    const { fetch } = createRelayClient({
      url: relay.url,
      numberOfPairs: 1,
      debug: (event) => {
        if (event.type === "response-chunk") read += event.plain.length;
      },
    });
    const response = await fetch("/");
    const reader = response.body!.getReader();
    await reader.read();
    await pause(100);
    expect(read).toBeLessThan(1 << 20);
    await reader.cancel();
  });
});
