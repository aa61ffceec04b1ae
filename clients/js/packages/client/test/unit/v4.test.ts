import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { initMteRelayClient, mteFetch } from "../../src/index.js";
import { FakeRelay } from "../support/fake-relay.js";

let relay: FakeRelay;
beforeEach(async () => {
  relay = await FakeRelay.start();
  await initMteRelayClient();
});
afterEach(() => relay.stop());

describe("mteFetch", () => {
  it("needs no initialization, and its relay is the URL's origin", async () => {
    const other = await FakeRelay.start();
    expect(await (await mteFetch(`${relay.url}/a`)).text()).toBe("GET /a");
    expect(await (await mteFetch(new Request(`${other.url}/b`))).text()).toBe("GET /b");
    expect(await (await mteFetch(new URL(`${relay.url}/c`))).text()).toBe("GET /c");
    expect([relay.pairings.length, other.pairings.length]).toEqual([1, 1]);
    expect(relay.pairings[0]!.count).toBe(5);
    await other.stop();
  });

  it("has the defaults that initMteRelayClient sets, and v4's names", async () => {
    await initMteRelayClient({
      licenseCompany: "ignored",
      licenseKey: "ignored",
      mtePoolSize: 2,
      mkePoolSize: 5,
      numberOfPairs: 3,
      encodeType: "MTE",
      encodeUrls: false,
      encodeHeaders: ["traceparent"],
    });
    await mteFetch(`${relay.url}/clear`, { headers: { traceparent: "1", "user-agent": "2" } });
    const request = relay.requests.at(-1)!;
    expect(relay.pairings[0]!.count).toBe(3);
    expect(request.relayHeader).toMatchObject({ encodeType: "MTE", urlEncoded: false });
    expect([request.headers.get("traceparent"), request.outer["user-agent"]]).toEqual(["1", "2"]);
    await mteFetch(
      `${relay.url}/sealed`,
      {},
      { encodeType: "MKE", encodeUrl: true, encodeHeaders: true, useStreaming: false },
    );
    expect(relay.requests.at(-1)!.relayHeader).toMatchObject({ encodeType: "MKE", urlEncoded: true });
    await initMteRelayClient({ defaultEncodeType: "MTE" });
    await mteFetch(`${relay.url}/`);
    expect(relay.requests.at(-1)!.relayHeader.encodeType).toBe("MTE");
  });

  it("takes relative URLs where it knows what they belong to", async () => {
    await expect(mteFetch("/x")).rejects.toThrow("give an absolute URL, or set the option url");
    await initMteRelayClient({ url: relay.url });
    expect(await (await mteFetch("/x")).text()).toBe("GET /x");
  });

  it("throws at initialization if an option is invalid", async () => {
    await expect(initMteRelayClient({ numberOfPairs: 1000 })).rejects.toThrow("choose 1 to 100");
    expect(await (await mteFetch(`${relay.url}/still`)).text()).toBe("GET /still");
  });
});
