import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createRelayClient, MteRelayError, type RelayClientOptions } from "../../src/index.js";
import { FakeRelay } from "../support/fake-relay.js";
import { pause } from "../support/upstream.js";

let relay: FakeRelay;
beforeEach(async () => {
  relay = await FakeRelay.start();
});
afterEach(async () => {
  vi.useRealTimers();
  await relay.stop();
});

const client = (options: RelayClientOptions = {}) =>
  createRelayClient({ url: relay.url, numberOfPairs: 2, ...options });

async function failure(promise: Promise<unknown>): Promise<MteRelayError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(MteRelayError);
  return error as MteRelayError;
}

describe("pairing", () => {
  it("happens with the first request, and concurrent first requests share it", async () => {
    const { fetch } = client();
    expect(relay.hellos).toBe(0);
    const responses = await Promise.all(Array.from({ length: 12 }, (_, n) => fetch(`/${n}`)));
    expect(await Promise.all(responses.map((response) => response.text()))).toContain("GET /7");
    expect(relay.hellos).toBe(1);
    expect(relay.pairings).toEqual([{ clientId: "client-1.sig", count: 2 }]);
  });

  it("creates five pairs by default, and uses them in turn", async () => {
    const { fetch } = createRelayClient({ url: relay.url });
    for (let n = 0; n < 10; n++) await (await fetch("/")).text();
    expect(relay.pairings[0]!.count).toBe(5);
    const used = relay.requests.map((request) => request.relayHeader.pairId);
    expect(new Set(used).size).toBe(5);
    expect(used.slice(0, 5)).toEqual(used.slice(5));
  });

  it("continues under its id with a new signature of the relay, but never under another client's id", async () => {
    const relayed = client();
    await (await relayed.fetch("/")).text();
    const sign = (id: string) => {
      for (const pair of relay.pairs.values()) pair.clientId = id;
    };
    sign("client-1.new-sig");
    await (await relayed.fetch("/")).text();
    expect(relayed.clientId).toBe("client-1.new-sig");
    await (await relayed.fetch("/")).text();
    expect(relay.requests.at(-1)!.relayHeader.clientId).toBe("client-1.new-sig");
    sign("client-2.sig");
    await (await relayed.fetch("/")).text();
    expect(relayed.clientId).toBe("client-1.new-sig");
    expect(relay.pairings.length).toBe(1);
  });

  it("fails for all callers that wait for it, and is retried by the next one", async () => {
    relay.pairingAnswer = () => 503;
    const { fetch } = client();
    const errors = await Promise.all([failure(fetch("/a")), failure(fetch("/b"))]);
    expect(errors.map((error) => [error.kind, error.status, error.requestId])).toEqual([
      ["relay", 503, "r-1"],
      ["relay", 503, "r-1"],
    ]);
    expect(relay.pairings.length).toBe(1);
    relay.pairingAnswer = (json) => json;
    expect(await (await fetch("/c")).text()).toBe("GET /c");
  });

  it.each([
    ["is not JSON", () => "<html>", "it is not JSON"],
    [
      "has too few pairs",
      (json: string) => JSON.stringify(JSON.parse(json).slice(1)),
      "it has 1 pairs, 2 were asked for",
    ],
    [
      "has the pairs in another order",
      (json: string) => JSON.stringify(JSON.parse(json).reverse()),
      "pair 0 is not the one",
    ],
    ["is too long", () => "x".repeat(5 << 20), "more than 4194304 bytes"],
  ])("is refused if the answer %s", async (_, change, message) => {
    relay.pairingAnswer = change;
    const error = await failure(client().fetch("/"));
    expect(error.kind).toBe("pairing");
    expect(error.message).toContain(message);
  });

  it("continues under an earlier client id, unless the relay no longer accepts it", async () => {
    await client({ clientId: "old.sig" }).pair();
    expect(relay.hellos).toBe(0);
    expect(relay.pairings[0]!.clientId).toBe("old.sig");
    relay.pairingAnswer = (json) => (relay.pairings.at(-1)!.clientId === "old.sig" ? 566 : json);
    const second = client({ clientId: "old.sig" });
    await second.pair();
    expect(second.clientId).toBe("client-1.sig");
  });

  it("can be aborted by one caller while the others keep waiting", async () => {
    let go = () => {};
    relay.beforePairing = new Promise<void>((resolve) => {
      go = resolve;
    });
    const { fetch } = client();
    const abort = new AbortController();
    const first = fetch("/a", { signal: abort.signal });
    const second = fetch("/b");
    await pause(50);
    abort.abort();
    await expect(first).rejects.toMatchObject({ name: "AbortError" });
    go();
    expect(await (await second).text()).toBe("GET /b");
    expect(relay.pairings.length).toBe(1);
  });

  it("fails after its timeout", async () => {
    relay.beforePairing = new Promise(() => {});
    const error = await failure(client({ pairingTimeout: 150 }).fetch("/"));
    expect(error.kind).toBe("timeout");
    expect(error.message).toContain("longer than 0.15 s");
  });

  it("reports an address that is not a relay's", async () => {
    const error = await failure(createRelayClient({ url: relay.url, pathPrefix: "/elsewhere" }).fetch("/"));
    expect(error.kind).toBe("pairing");
    expect(error.message).toContain("the answer has no client id: is this an MTE relay");
  });
});

describe("a new pairing", () => {
  it.each([559, 560, 561, 562, 563, 564, 565, 566, 567, 568])(
    "follows %i, and the request is sent again",
    async (status) => {
      const { fetch } = client({ numberOfPairs: 1 });
      await (await fetch("/before")).text();
      relay.refusals = [status];
      const response = await fetch("/again", { method: "PUT", body: "content" });
      expect(await response.text()).toBe("PUT /again");
      expect(new TextDecoder().decode(relay.requests.at(-1)!.body)).toBe("content");
      expect(relay.pairings.length).toBe(2);
      expect(relay.hellos).toBe(status === 566 ? 2 : 1);
    },
  );

  it("is made once for all requests whose pairs the relay has lost", async () => {
    const { fetch } = client();
    await (await fetch("/before")).text();
    relay.pairs.clear();
    const responses = await Promise.all(Array.from({ length: 8 }, () => fetch("/again")));
    expect(responses.every((response) => response.ok)).toBe(true);
    expect(relay.pairings.length).toBe(2);
  });

  it("replaces one pair on 562 and all pairs of a pairing on 560", async () => {
    const { fetch } = client({ numberOfPairs: 3 });
    await (await fetch("/before")).text();
    relay.refusals = [562];
    await (await fetch("/a")).text();
    expect(relay.pairings.length).toBe(1);
    relay.refusals = [560];
    await (await fetch("/b")).text();
    expect(relay.pairings.length).toBe(2);
  });

  it("is tried once: a second refusal is an error that says so", async () => {
    const { fetch } = client();
    relay.refusals = [562, 562];
    const error = await failure(fetch("/"));
    expect(error.status).toBe(562);
    expect(error.message).toBe("the relay answered 562: error 562 (it was sent twice, under two pairs)");
  });

  it("does not follow 569, nor any status in a sealed response", async () => {
    const { fetch } = client();
    relay.refusals = [569];
    expect((await failure(fetch("/"))).status).toBe(569);
    relay.answer = () => ({ status: 560, body: "the upstream's own" });
    const response = await fetch("/");
    expect([response.status, await response.text()]).toEqual([560, "the upstream's own"]);
    expect(relay.pairings.length).toBe(1);
  });

  it("repeats requests of idempotent methods, and of no other", async () => {
    const { fetch } = client();
    for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]) {
      relay.refusals = [562];
      expect((await fetch("/", { method })).ok, method).toBe(true);
    }
    const sent = relay.requests.length;
    for (const method of ["POST", "PATCH"]) {
      relay.refusals = [560];
      const error = await failure(fetch("/", { method, body: "x" }));
      expect([error.kind, error.code, error.status]).toEqual(["relay", "not-repeated", 560]);
      expect(error.message).toContain(`it was not sent again: ${method} is not idempotent`);
      expect(error.message).toContain("find out whether it took effect");
      expect(error.message).toContain('resend: "always"');
    }
    expect(relay.requests.length).toBe(sent);
    // The pair is still dropped, so the next request succeeds.
    expect((await fetch("/", { method: "POST", body: "x" })).ok).toBe(true);
  });

  it("repeats what the option resend allows", async () => {
    const { fetch } = client();
    relay.refusals = [562];
    expect((await fetch("/", { method: "POST", body: "x" }, { resend: "always" })).ok).toBe(true);
    relay.refusals = [562];
    const never = await failure(fetch("/", {}, { resend: "never" }));
    expect(never.code).toBe("not-repeated");
    expect(never.message).toContain('resend is "never"');
  });

  it("does not repeat a body that is a stream", async () => {
    const { fetch } = client();
    relay.refusals = [562];
    const body = new Blob(["streamed"]).stream();
    const error = await failure(fetch("/", { method: "PUT", body, duplex: "half" } as RequestInit));
    expect(error.code).toBe("not-repeated");
    expect(error.message).toContain("its body is a stream");
  });
});

describe("pairs", () => {
  it("pause while slow responses could fall out of their window, and others are created", async () => {
    const { fetch } = client({ numberOfPairs: 1 });
    await (await fetch("/first")).text();
    let go = () => {};
    const slow = new Promise<void>((resolve) => {
      go = resolve;
    });
    relay.answer = (request) => ({ body: request.url, ...(request.url === "/slow" ? { before: slow } : {}) });
    const late = fetch("/slow");
    await pause(20);
    for (let n = 0; n < 330; n++) await (await fetch("/quick")).text();
    expect(relay.pairings.length).toBe(2);
    go();
    expect(await (await late).text()).toBe("/slow");
  });

  it("are not used when the relay may have dropped them", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { fetch } = client({ numberOfPairs: 2 });
    await (await fetch("/")).text();
    vi.advanceTimersByTime(9 * 60_000);
    // One was used and one was not: that one is dropped.
    await (await fetch("/")).text();
    await (await fetch("/")).text();
    expect(relay.pairings.length).toBe(1);
    expect(new Set(relay.requests.map((request) => request.relayHeader.pairId)).size).toBe(1);
    vi.advanceTimersByTime(26 * 60_000);
    await (await fetch("/")).text();
    expect(relay.pairings.length).toBe(2);
  });

  it("are renewed in the background before they expire", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { fetch } = client({ numberOfPairs: 1, pairMaxAge: 60_000 });
    await (await fetch("/")).text();
    vi.advanceTimersByTime(49_000);
    const old = relay.requests.at(-1)!.relayHeader.pairId;
    await (await fetch("/")).text();
    expect(relay.requests.at(-1)!.relayHeader.pairId).toBe(old);
    await vi.waitFor(() => expect(relay.pairings.length).toBe(2));
    await pause(50);
    await (await fetch("/")).text();
    expect(relay.requests.at(-1)!.relayHeader.pairId).not.toBe(old);
  });
});
