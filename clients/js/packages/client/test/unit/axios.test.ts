import axios, { AxiosError } from "axios";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { relayAdapter } from "../../src/axios.js";
import { createRelayClient } from "../../src/index.js";
import { FakeRelay } from "../support/fake-relay.js";
import { pattern, pause } from "../support/upstream.js";

let relay: FakeRelay;
beforeEach(async () => {
  relay = await FakeRelay.start();
});
afterEach(() => relay.stop());

const instance = () => {
  const { fetch } = createRelayClient({ url: relay.url, numberOfPairs: 1 });
  return axios.create({ baseURL: `${relay.url}/api`, adapter: relayAdapter(axios, fetch) });
};
const json = (value: unknown) => ({
  headers: { "content-type": "application/json" },
  body: JSON.stringify(value),
});

describe("axios through a relay", () => {
  it("sends parameters, headers and JSON, and parses the answer", async () => {
    relay.answer = (request) =>
      json({
        url: request.url,
        method: request.method,
        got: JSON.parse(new TextDecoder().decode(request.body) || "null"),
      });
    const http = instance();
    const got = await http.get("/things", { params: { a: "1 2", b: [3, 4] }, headers: { "x-a": "b" } });
    expect([got.status, got.data.url]).toEqual([200, "/api/things?a=1+2&b%5B%5D=3&b%5B%5D=4"]);
    expect(relay.requests.at(-1)!.headers.get("x-a")).toBe("b");
    const posted = await http.post("/things", { name: "é" });
    expect(posted.data).toEqual({ url: "/api/things", method: "POST", got: { name: "é" } });
    expect(posted.headers["content-type"]).toBe("application/json");
    expect(relay.requests.at(-1)!.headers.get("content-type")).toContain("application/json");
  });

  it("rejects as axios does: status, network, timeout, cancellation", async () => {
    const http = instance();
    relay.answer = () => ({ status: 404, ...json({ why: "gone" }) });
    const missing = await http.get("/").catch((error: AxiosError) => error);
    expect(missing).toBeInstanceOf(AxiosError);
    expect(missing).toMatchObject({
      code: "ERR_BAD_REQUEST",
      response: { status: 404, data: { why: "gone" } },
    });
    expect((await http.get("/", { validateStatus: () => true })).status).toBe(404);
    relay.answer = () => ({ plain: 502 });
    const failed = (await http.get("/").catch((error) => error)) as AxiosError;
    expect(failed).toMatchObject({ code: "ERR_NETWORK", cause: { status: 502 } });
    relay.answer = () => ({ before: pause(3000) });
    await expect(http.get("/", { timeout: 50 })).rejects.toMatchObject({ code: "ECONNABORTED" });
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 30);
    const cancelled = await http.get("/", { signal: abort.signal }).catch((error) => error);
    expect(axios.isCancel(cancelled)).toBe(true);
  });

  it("returns other types of data, and reports progress", async () => {
    relay.answer = () => ({ body: pattern(100_000), headers: { "content-length": "100000" } });
    const seen: number[] = [];
    const { data } = await instance().post("/", new URLSearchParams({ a: "b" }), {
      responseType: "arraybuffer",
      onDownloadProgress: (event) => void seen.push(event.loaded),
    });
    expect(Buffer.compare(new Uint8Array(data), pattern(100_000))).toBe(0);
    expect(seen.at(-1)).toBe(100_000);
    const form = new FormData();
    form.set("a", "b");
    await instance().post("/", form);
    expect(relay.requests.at(-1)!.headers.get("content-type")).toMatch(/^multipart\/form-data; boundary=/);
  });

  it("works with axios's own fetch adapter as well", async () => {
    relay.answer = (request) => json({ method: request.method });
    const { fetch } = createRelayClient({ url: relay.url, numberOfPairs: 1 });
    const http = axios.create({ baseURL: relay.url, adapter: "fetch", env: { fetch: fetch as never } });
    expect((await http.post("/", { a: 1 })).data).toEqual({ method: "POST" });
  });
});
