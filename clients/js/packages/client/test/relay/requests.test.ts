import { describe, expect, it } from "vitest";
import { createRelayClient } from "../../src/index.js";
import { xWing } from "../../src/x-wing.js";
import { bytesOf, describeWithRelay, echo, sha256 } from "../support/session.js";
import { pattern } from "../support/upstream.js";

describeWithRelay("a request through the relay itself", { tenant: ["require_binding: true"] }, (session) => {
  const types = ["MKE", "MTE"] as const;

  describe("with every option", () => {
    const headers = [true, false, ["x-one"]];
    const cases = types.flatMap((encodeType) =>
      [true, false].flatMap((encodeUrl) =>
        headers.map((encodeHeaders) => ({ encodeType, encodeUrl, encodeHeaders })),
      ),
    );
    it.each(cases)("arrives: $encodeType, URL $encodeUrl, headers $encodeHeaders", async (options) => {
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
        const body = method === "GET" ? {} : { body: `${method} body` };
        const init = { method, headers: { "x-one": "1", "x-two": "zwei-\u00fc" }, ...body };
        const response = await session.client.fetch("/echo?a=b%20c&d=ü", init, options);
        expect(response.headers.get("content-type")).toBe("application/json");
        const got = await echo(response);
        expect(got).toMatchObject({ method, url: "/echo?a=b%20c&d=%C3%BC", text: body.body ?? "" });
        expect([got.headers["x-one"], got.headers["x-two"]]).toEqual(["1", "zwei-\u00fc"]);
      }
    });

    it.each([
      ["ml-kem-512", "ml-kem-512"],
      ["ml-kem-768", "ml-kem-768"],
      ["ml-kem-1024", "ml-kem-1024"],
      ["x-wing", xWing],
    ] as const)("arrives: pairs of %s", async (_, kem) => {
      const { fetch } = createRelayClient({ url: session.relay.url, kem, numberOfPairs: 2 });
      expect((await echo(await fetch("/echo", { method: "POST", body: "x" }))).text).toBe("x");
    });
  });

  it.each(types)(
    "of type %s has its complete body, for all sizes around a frame, both ways",
    async (encodeType) => {
      for (const size of [0, 1, 59, 60, 61, 65_535, 65_536, 65_537, 200_000]) {
        const body = pattern(size);
        const up = await echo(await session.client.fetch("/echo", { method: "POST", body }, { encodeType }));
        expect([up.length, up.sha256]).toEqual([size, sha256(body)]);
        const down = await session.client.fetch(`/bytes?n=${size}`, {}, { encodeType });
        expect(sha256(await bytesOf(down))).toBe(sha256(body));
      }
    },
  );

  it("of 10 MiB is sent from memory, as a Blob and as a stream, and comes back", async () => {
    const body = pattern(10 << 20);
    const expected = sha256(body);
    const blob = new Blob([body]);
    const bodies = { bytes: body, blob, stream: blob.stream() };
    for (const [kind, given] of Object.entries(bodies)) {
      const init = { method: "POST", body: given, duplex: "half" } as RequestInit;
      const up = await echo(await session.client.fetch("/echo", init));
      expect([kind, up.length, up.sha256]).toEqual([kind, 10 << 20, expected]);
    }
    const down = await session.client.fetch(`/bytes?n=${10 << 20}`);
    expect(sha256(await bytesOf(down))).toBe(expected);
  });

  it("that the relay refuses rejects with the reason", async () => {
    await expect(session.client.fetch("/a/..%2fb")).rejects.toMatchObject({ kind: "relay", status: 400 });
    const large = createRelayClient({ url: session.relay.url, maxMteBody: 4 << 20, numberOfPairs: 1 });
    const init = { method: "POST", body: pattern(2 << 20) };
    await expect(large.fetch("/echo", init, { encodeType: "MTE" })).rejects.toMatchObject({ status: 413 });
  });
});
