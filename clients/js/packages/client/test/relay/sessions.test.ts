import { expect, it } from "vitest";
import { createRelayClient } from "../../src/index.js";
import { describeWithRelay, echo } from "../support/session.js";

describeWithRelay("over time, with the relay itself,", {}, (session) => {
  const url = () => session.relay.url;

  it("300 concurrent requests of two clients all get their own responses", async () => {
    const clients = [createRelayClient({ url: url(), numberOfPairs: 3 }), session.client];
    const requests = Array.from({ length: 300 }, async (_, n) => {
      const got = await echo(
        await clients[n % 2]!.fetch(`/echo?n=${n}`, { method: "POST", body: `body ${n}` }),
      );
      expect([got.url, got.text]).toEqual([`/echo?n=${n}`, `body ${n}`]);
    });
    await Promise.all(requests);
  });

  it("a slow response stays in its window while hundreds of fast ones pass", async () => {
    const { fetch } = createRelayClient({ url: url(), numberOfPairs: 1 });
    const slow = fetch("/slow?ms=2500");
    const quick = async () => (await fetch("/empty")).text();
    for (let round = 0; round < 40; round++) await Promise.all(Array.from({ length: 10 }, quick));
    expect(await (await slow).text()).toBe("slow");
  });

  it("an abort in mid-transfer leaves the pair usable", async () => {
    const { fetch } = createRelayClient({ url: url(), numberOfPairs: 1 });
    for (const path of ["/slow?ms=3000", "/bytes?n=50000000"]) {
      const abort = new AbortController();
      setTimeout(() => abort.abort(), 100);
      const reading = fetch(path, { signal: abort.signal }).then((response) => response.arrayBuffer());
      await expect(reading).rejects.toMatchObject({ name: "AbortError" });
    }
    expect((await fetch("/echo")).status).toBe(200);
  });

  it("a restart of the relay causes one new pairing, under the same client id", async () => {
    const paired: unknown[] = [];
    const client = createRelayClient({
      url: url(),
      debug: (event) => {
        if (event.type === "paired") paired.push(event.reason);
      },
    });
    expect((await client.fetch("/echo")).ok).toBe(true);
    const id = client.clientId;
    await session.relay.restart();
    const requests = Array.from({ length: 10 }, () => client.fetch("/echo", { method: "PUT", body: "x" }));
    expect((await Promise.all(requests)).every((response) => response.ok)).toBe(true);
    expect(paired.length).toBe(2);
    expect(paired[1]).toContain("560");
    expect(client.clientId).toBe(id);
  });

  it("a restart fails a POST, which says what to do, and the next request goes through", async () => {
    const { fetch } = createRelayClient({ url: url(), numberOfPairs: 1 });
    expect((await fetch("/echo")).ok).toBe(true);
    await session.relay.restart();
    const seen = session.upstream.seen.length;
    const failure = { kind: "relay", code: "not-repeated", status: 560 };
    await expect(fetch("/echo", { method: "POST", body: "x" })).rejects.toMatchObject(failure);
    expect(session.upstream.seen.length).toBe(seen);
    expect((await echo(await fetch("/echo", { method: "POST", body: "x" }))).text).toBe("x");
    await session.relay.restart();
    const always = { resend: "always" } as const;
    expect((await echo(await fetch("/echo", { method: "POST", body: "y" }, always))).text).toBe("y");
  });
});
