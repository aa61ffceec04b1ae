import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MteKyberStrength } from "../../src/index.js";
import { Relay } from "./relay.js";
import type { Arrived } from "./upstream.js";
import { V4Client, type V4Options, type V4Response } from "./v4-client.js";

/** Rounds of ten concurrent requests. */
const ROUNDS = 40;

const CLIENTS: [string, V4Options][] = [
  ["MKE, rehearsing", { type: "MKE", way: "rehearsing", pairs: 5 }],
  ["MKE, saving", { type: "MKE", way: "saving", pairs: 5 }],
  ["MTE, rehearsing", { type: "MTE", way: "rehearsing", pairs: 5 }],
  ["MTE, saving", { type: "MTE", way: "saving", pairs: 5 }],
];

const bytes = (text: string) => new TextEncoder().encode(text);
const arrived = ({ body }: V4Response) => JSON.parse(Buffer.from(body).toString()) as Arrived;

let relay: Relay;
beforeAll(async () => {
  relay = await Relay.start();
}, 30_000);
afterAll(async () => {
  await relay?.stop();
});

async function client(options: V4Options): Promise<V4Client> {
  const made = new V4Client(relay.origin, options);
  await made.pair();
  return made;
}

describe.each(CLIENTS)("a version 4 client against the relay (%s)", (_, options) => {
  let v4: V4Client;
  beforeAll(async () => {
    v4 = await client(options);
  });

  it("sends URL, headers and body, and reads the response", async () => {
    const response = await v4.send({
      path: "/accounts/42?expand=owner&q=%C3%BC",
      headers: { "content-type": "application/json", authorization: "Bearer secret", "x-echo": "grüße" },
      body: bytes('{"amount": 5}'),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(arrived(response)).toMatchObject({
      method: "POST",
      url: "/accounts/42?expand=owner&q=%C3%BC",
      body: '{"amount": 5}',
      headers: { "content-type": "application/json", authorization: "Bearer secret", "x-echo": "grüße" },
    });
  });

  it("sends requests without a body, also of the root", async () => {
    expect(arrived(await v4.send({ path: "/" }))).toMatchObject({ method: "GET", url: "/", body: "" });
    expect(arrived(await v4.send({ path: "/?a=b", method: "DELETE" }))).toMatchObject({
      method: "DELETE",
      url: "/?a=b",
    });
  });

  it("sends an empty body, and reads responses with an empty body and with none", async () => {
    expect(arrived(await v4.send({ path: "/x", body: new Uint8Array() }))).toMatchObject({ body: "" });
    expect((await v4.send({ path: "/empty" })).body.length).toBe(0);
    expect(await v4.send({ path: "/nothing" })).toMatchObject({ status: 204, body: new Uint8Array() });
    const head = await v4.send({ path: "/x", method: "HEAD" });
    expect([head.status, head.body.length]).toEqual([200, 0]);
  });

  it("gets large bodies back", async () => {
    const body = new Uint8Array(randomBytes(300_000));
    const response = await v4.send({ path: "/same", body });
    expect(Buffer.from(response.body).equals(body)).toBe(true);
  });

  it(`loses none of ${ROUNDS * 10} requests, ten concurrent ones on five pairs`, {
    timeout: 120_000,
  }, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const sent = Array.from({ length: 10 }, (_, at) => {
        const text = `${round}.${at}`;
        const body = at % 3 === 0 ? undefined : bytes(`body ${text}`);
        return v4
          .send({ path: `/p?q=${text}`, headers: { "x-echo": text }, ...(body && { body }) })
          .then((response) => [text, body, arrived(response)] as const);
      });
      for (const [text, body, got] of await Promise.all(sent)) {
        expect(got.url).toBe(`/p?q=${text}`);
        expect(got.headers["x-echo"]).toBe(text);
        expect(got.body).toBe(body ? `body ${text}` : "");
      }
    }
  });

  it("loses none of 200 concurrent requests", { timeout: 120_000 }, async () => {
    const sent = Array.from({ length: 200 }, (_, at) =>
      v4.send({ path: `/p?q=${at}`, body: bytes(`${at}`) }),
    );
    const got = (await Promise.all(sent)).map(arrived);
    expect(got.map(({ url, body }) => [url, body])).toEqual(got.map((_, at) => [`/p?q=${at}`, `${at}`]));
  });
});

describe.each(CLIENTS.filter(([, { type }]) => type === "MKE"))("a streaming client (%s)", (_, options) => {
  it("streams many bodies up and down concurrently", { timeout: 60_000 }, async () => {
    const v4 = await client(options);
    const sent = Array.from({ length: 30 }, async (_, at) => {
      const chunks = Array.from({ length: 5 }, (_, part) => new Uint8Array(randomBytes(part * 9000 + at)));
      const response = await v4.send({ path: "/same", body: chunks, streamed: true });
      return Buffer.concat(chunks).equals(response.body);
    });
    expect(await Promise.all(sent)).toEqual(sent.map(() => true));
  });

  it("streams a large body up and down", { timeout: 60_000 }, async () => {
    const v4 = await client(options);
    const chunks = Array.from({ length: 30 }, () => new Uint8Array(randomBytes(100_000)));
    const response = await v4.send({ path: "/same", body: chunks, streamed: true });
    expect(Buffer.concat(chunks).equals(response.body)).toBe(true);
  });
});

describe("pairing", () => {
  it.each([MteKyberStrength.K512, MteKyberStrength.K768, MteKyberStrength.K1024])(
    "works with strength %i",
    async (strength) => {
      const v4 = await client({ type: "MKE", way: "saving", pairs: 1, strength });
      expect(arrived(await v4.send({ path: "/p", body: bytes("hello") })).body).toBe("hello");
    },
  );
});

describe("the relay's log", () => {
  it("has no failed decode", () => {
    expect(relay.log).toContain("mte-relay listens");
    expect(relay.log).not.toContain("refused");
  });
});
