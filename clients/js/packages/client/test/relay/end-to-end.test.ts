import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  createRelayClient,
  MteEventSource,
  type RelayClient,
  type RelayClientOptions,
} from "../../src/index.js";
import { xWing } from "../../src/x-wing.js";
import { type RelayProcess, relayBinary, startRelay } from "../support/relay-process.js";
import { startTamperProxy, type TamperProxy } from "../support/tamper.js";
import { type Echo, pattern, pause, startUpstream, type Upstream } from "../support/upstream.js";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

describe.skipIf(relayBinary() === undefined)("through the relay itself", () => {
  let upstream: Upstream;
  let relay: RelayProcess;
  let client: RelayClient;
  beforeAll(async () => {
    upstream = await startUpstream();
    relay = await startRelay({ upstreamPort: upstream.port, tenant: ["require_binding: true"] });
    client = createRelayClient({ url: relay.url });
  });
  afterAll(async () => {
    await relay?.stop();
    await upstream?.close();
  });

  const echo = async (response: Response): Promise<Echo> => (await response.json()) as Echo;

  describe("every option", () => {
    const types = ["MKE", "MTE"] as const;
    const urls = [true, false];
    const headers = [true, false, ["x-one"]];
    const cases = types.flatMap((encodeType) =>
      urls.flatMap((encodeUrl) => headers.map((encodeHeaders) => ({ encodeType, encodeUrl, encodeHeaders }))),
    );
    it.each(cases)("works: $encodeType, URL $encodeUrl, headers $encodeHeaders", async (options) => {
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
        const body = method === "GET" ? {} : { body: `${method} body` };
        const init = { method, headers: { "x-one": "1", "x-two": "zwei-\u00fc" }, ...body };
        const response = await client.fetch("/echo?a=b%20c&d=ü", init, options);
        expect(response.headers.get("content-type")).toBe("application/json");
        const got = await echo(response);
        expect(got).toMatchObject({ method, url: "/echo?a=b%20c&d=%C3%BC", text: body.body ?? "" });
        expect([got.headers["x-one"], got.headers["x-two"]]).toEqual(["1", "zwei-\u00fc"]);
      }
    });

    it.each<RelayClientOptions["kem"] & {}>(["ml-kem-512", "ml-kem-768", "ml-kem-1024", xWing])(
      "works: KEM %s",
      async (kem) => {
        const other = createRelayClient({ url: relay.url, kem, numberOfPairs: 2 });
        expect((await echo(await other.fetch("/echo", { method: "POST", body: "x" }))).text).toBe("x");
      },
    );
  });

  describe("bodies", () => {
    it.each(["MKE", "MTE"] as const)(
      "of type %s arrive whole, of all sizes around a frame",
      async (encodeType) => {
        for (const size of [0, 1, 59, 60, 61, 65_535, 65_536, 65_537, 200_000]) {
          const body = pattern(size);
          const up = await echo(await client.fetch("/echo", { method: "POST", body }, { encodeType }));
          expect([up.length, up.sha256]).toEqual([size, sha256(body)]);
          const down = await client.fetch(`/bytes?n=${size}`, {}, { encodeType });
          expect(sha256(new Uint8Array(await down.arrayBuffer()))).toBe(sha256(body));
        }
      },
    );

    it("of 10 MiB travel both ways, in memory, as a Blob and as a stream", async () => {
      const body = pattern(10 << 20);
      const expected = sha256(body);
      const blob = new Blob([body]);
      for (const [kind, given] of [
        ["bytes", body],
        ["blob", blob],
        ["stream", blob.stream()],
      ] as const) {
        const init = { method: "POST", body: given, duplex: "half" } as RequestInit;
        const up = await echo(await client.fetch("/echo", init));
        expect([kind, up.length, up.sha256]).toEqual([kind, 10 << 20, expected]);
      }
      const down = await client.fetch(`/bytes?n=${10 << 20}`);
      expect(sha256(new Uint8Array(await down.arrayBuffer()))).toBe(expected);
    });

    it("of unknown length come as the upstream sends them", async () => {
      const response = await client.fetch("/drip?n=4&ms=80");
      const times: number[] = [];
      const reader = response.body!.getReader();
      let text = "";
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        times.push(performance.now());
        text += new TextDecoder().decode(read.value);
      }
      expect(text).toBe("piece 0\npiece 1\npiece 2\npiece 3\n");
      expect(times.at(-1)! - times[0]!).toBeGreaterThan(150);
    });

    it("that the upstream cuts are errors and never a shorter body", async () => {
      const response = await client.fetch("/cut");
      await expect(response.text()).rejects.toBeInstanceOf(TypeError);
    });
  });

  describe("responses", () => {
    it("have the upstream's status, body or none", async () => {
      for (const [code, body] of [
        [200, "status 200"],
        [204, ""],
        [304, ""],
        [404, "status 404"],
        [500, "status 500"],
        [560, "status 560"],
      ] as const) {
        const response = await client.fetch(`/status?code=${code}`);
        expect([response.status, response.headers.get("x-status"), await response.text()]).toEqual([
          code,
          String(code),
          body,
        ]);
      }
      const head = await client.fetch("/bytes?n=17", { method: "HEAD" });
      expect([head.status, head.headers.get("content-length"), head.body]).toEqual([200, "17", null]);
      expect(await (await client.fetch("/empty")).text()).toBe("");
    });

    it("bring cookies, and requests take them", async () => {
      const response = await client.fetch("/cookies", { headers: { cookie: "c=3" } });
      expect(response.headers.getSetCookie()).toEqual(["a=1; Path=/", "b=2; Path=/; HttpOnly"]);
      expect(await response.text()).toBe("c=3");
    });

    it("that redirect are followed within the relay", async () => {
      const to = (target: string, code = 302) => `/redirect?code=${code}&to=${encodeURIComponent(target)}`;
      const got = await client.fetch(to("/echo?x=1"));
      expect([got.redirected, got.url, (await echo(got)).url]).toEqual([
        true,
        `${relay.url}/echo?x=1`,
        "/echo?x=1",
      ]);
      const absolute = to(`http://127.0.0.1:${upstream.port}/echo?y=2`, 307);
      expect(await echo(await client.fetch(absolute, { method: "POST", body: "again" }))).toMatchObject({
        method: "POST",
        url: "/echo?y=2",
        text: "again",
      });
      const manual = await client.fetch(to("/echo"), { redirect: "manual" });
      expect([manual.status, manual.headers.get("location")]).toEqual([302, "/echo"]);
      await expect(client.fetch(to("https://elsewhere.example/"))).rejects.toThrow("away from the relay");
    });

    it("to what the relay refuses are errors that say why", async () => {
      await expect(client.fetch("/a/..%2fb")).rejects.toMatchObject({ kind: "relay", status: 400 });
      await expect(
        client.fetch("/", { method: "POST", body: pattern(2 << 20) }, { encodeType: "MTE" }),
      ).rejects.toThrow("maxMteBody");
      const large = createRelayClient({ url: relay.url, maxMteBody: 4 << 20, numberOfPairs: 1 });
      await expect(
        large.fetch("/echo", { method: "POST", body: pattern(2 << 20) }, { encodeType: "MTE" }),
      ).rejects.toMatchObject({
        status: 413,
      });
    });
  });

  describe("server-sent events", () => {
    it("arrive as they are sent, and go on after a reconnection", async () => {
      const source = new MteEventSource("/sse?n=3&ms=30&end", { fetch: client.fetch });
      const seen: string[] = [];
      source.addEventListener("odd", (event) => void seen.push((event as MessageEvent).lastEventId));
      source.onmessage = (event) => void seen.push(event.lastEventId);
      await new Promise<void>((resolve) => {
        source.onerror = () => {
          if (source.readyState === source.CLOSED) resolve();
        };
      });
      expect(seen).toEqual(["1", "2", "3"]);
    });
  });

  describe("at once and over time", () => {
    it("300 requests of two clients at once all have their own answers", async () => {
      const other = createRelayClient({ url: relay.url, numberOfPairs: 3 });
      const requests = Array.from({ length: 300 }, async (_, n) => {
        const one = n % 2 ? client : other;
        const got = await echo(await one.fetch(`/echo?n=${n}`, { method: "POST", body: `body ${n}` }));
        expect([got.url, got.text]).toEqual([`/echo?n=${n}`, `body ${n}`]);
      });
      await Promise.all(requests);
    });

    it("slow answers stay in their window while hundreds of quick ones pass", async () => {
      const one = createRelayClient({ url: relay.url, numberOfPairs: 1 });
      const slow = one.fetch("/slow?ms=2500");
      for (let n = 0; n < 40; n++)
        await Promise.all(Array.from({ length: 10 }, async () => (await one.fetch("/empty")).text()));
      expect(await (await slow).text()).toBe("slow");
    });

    it("an abort in the middle leaves the pair in order", async () => {
      const one = createRelayClient({ url: relay.url, numberOfPairs: 1 });
      for (const path of ["/slow?ms=3000", "/bytes?n=50000000"]) {
        const abort = new AbortController();
        setTimeout(() => abort.abort(), 100);
        const reading = one.fetch(path, { signal: abort.signal }).then((response) => response.arrayBuffer());
        await expect(reading).rejects.toMatchObject({ name: "AbortError" });
      }
      expect((await one.fetch("/echo")).status).toBe(200);
    });

    it("a restart of the relay is answered by one new pairing", async () => {
      const paired: unknown[] = [];
      const one = createRelayClient({
        url: relay.url,
        debug: (event) => {
          if (event.type === "paired") paired.push(event.reason);
        },
      });
      expect((await one.fetch("/echo")).ok).toBe(true);
      const id = one.clientId;
      await relay.restart();
      const all = await Promise.all(
        Array.from({ length: 10 }, () => one.fetch("/echo", { method: "POST", body: "x" })),
      );
      expect(all.every((response) => response.ok)).toBe(true);
      expect(paired.length).toBe(2);
      expect(paired[1]).toContain("560");
      expect(one.clientId).toBe(id);
    });
  });

  describe("somebody in the middle", () => {
    let proxy: TamperProxy;
    let victim: RelayClient;
    beforeAll(async () => {
      proxy = await startTamperProxy(relay.port);
    });
    afterAll(() => proxy?.stop());
    const begin = async () => {
      proxy.request = proxy.response = undefined;
      proxy.seen = [];
      upstream.seen.length = 0;
      victim = createRelayClient({ url: proxy.url, numberOfPairs: 1, resend: "never" });
      expect((await victim.fetch("/echo?sealed", { method: "POST", body: "sealed body" })).ok).toBe(true);
    };

    it("sees neither URL nor headers nor bodies", async () => {
      await begin();
      const wire = proxy.seen
        .map(({ path, headers, body }) => path + JSON.stringify(headers) + body.toString("latin1"))
        .join();
      for (const secret of ["echo", "sealed", "text/plain"]) expect(wire).not.toContain(secret);
    });

    it.each<
      [
        string,
        (passing: { method: string; path: string; headers: Record<string, unknown>; body: Buffer }) => void,
      ]
    >([
      ["the body", ({ body }) => void (body[30]! ^= 1)],
      [
        "the URL",
        (passing) =>
          void (passing.path = passing.path.replace(
            /.(.{10})$/,
            (found) => (found[0] === "A" ? "B" : "A") + found.slice(1),
          )),
      ],
      [
        "the sealed headers",
        ({ headers }) =>
          void (headers["x-mte-relay-eh"] = String(headers["x-mte-relay-eh"]).replace(
            /.(.{9})$/,
            (found) => (found[0] === "A" ? "B" : "A") + found.slice(1),
          )),
      ],
      ["the method", (passing) => void (passing.method = "PUT")],
      [
        "the type",
        ({ headers }) =>
          void (headers["x-mte-relay"] = String(headers["x-mte-relay"]).replace(",1,1,1,1", ",0,1,1,1")),
      ],
      [
        "the body's flag",
        ({ headers }) =>
          void (headers["x-mte-relay"] = String(headers["x-mte-relay"]).replace(",1,1,1,1", ",1,1,1,0")),
      ],
      ["the body, by cutting it", (passing) => void (passing.body = passing.body.subarray(0, 40))],
      ["the body, by dropping it", (passing) => void (passing.body = Buffer.alloc(0))],
    ])("cannot change %s of a request", async (_, change) => {
      await begin();
      upstream.seen.length = 0;
      proxy.request = (passing) => change(passing as never);
      await expect(
        victim.fetch("/echo", { method: "POST", body: "a body of some length" }),
      ).rejects.toMatchObject({
        kind: "relay",
        status: 562,
      });
      expect(upstream.seen).toEqual([]);
    });

    it("cannot replay a request", async () => {
      await begin();
      const { method, path, headers, body } = proxy.seen[0]!;
      upstream.seen.length = 0;
      const replay = await fetch(relay.url + path, {
        method,
        headers: {
          "x-mte-relay": headers["x-mte-relay"] as string,
          "x-mte-relay-eh": headers["x-mte-relay-eh"] as string,
        },
        body: new Uint8Array(body),
      });
      expect(replay.status).toBe(562);
      expect(upstream.seen).toEqual([]);
    });

    it.each<
      [
        string,
        (passing: { status: number; headers: Record<string, unknown>; body: Buffer }) => void | "cut",
        string,
      ]
    >([
      ["the status", (passing) => void (passing.status = 201), ":status is 200, expected 201"],
      ["the body", ({ body }) => void (body[body.length - 1]! ^= 1), "not authentic"],
      ["the body, by dropping it", (passing) => void (passing.body = Buffer.alloc(0)), "truncated"],
      [
        "the body, by cutting it between frames",
        (passing) => void (passing.body = passing.body.subarray(0, -20)),
        "truncated",
      ],
      [
        "the body, by a longer one",
        (passing) => void (passing.body = Buffer.concat([passing.body, Buffer.from("more")])),
        "trailing",
      ],
      [
        "the sealed headers, by dropping them",
        ({ headers }) => void delete headers["x-mte-relay-eh"],
        "it is not sealed",
      ],
    ])("cannot change %s of a response", async (_, change, message) => {
      await begin();
      proxy.response = (passing) => change(passing as never);
      const read = victim.fetch("/drip?n=2&ms=5").then((response) => response.text());
      await expect(read).rejects.toMatchObject({
        kind: "response",
        message: expect.stringContaining(message),
      });
    });

    it("cannot answer with the response to another request, nor with one of before", async () => {
      await begin();
      const answers: { headers: object; body: Buffer }[] = [];
      proxy.response = (passing) => {
        answers.push({ headers: { ...passing.headers }, body: Buffer.from(passing.body) });
        if (answers.length > 1) Object.assign(passing, answers[0]);
      };
      expect((await victim.fetch("/echo?1")).ok).toBe(true);
      await expect(victim.fetch("/echo?2")).rejects.toThrow("replayed");
    });

    it("cannot cut a body unnoticed", async () => {
      await begin();
      proxy.response = () => "cut";
      const read = victim.fetch("/bytes?n=300000").then((response) => response.arrayBuffer());
      await expect(read).rejects.toBeInstanceOf(TypeError);
    });

    it("can make the client pair anew, once, and no more", async () => {
      await begin();
      const one = createRelayClient({ url: proxy.url, numberOfPairs: 1 });
      await one.pair();
      proxy.response = (passing) => {
        passing.status = 560;
        delete passing.headers["x-mte-relay-eh"];
      };
      proxy.seen = [];
      await expect(one.fetch("/echo")).rejects.toThrow("sent twice, under two pairs");
      expect(proxy.seen.length).toBe(2);
      await pause(10);
    });
  });
});
