import { expect, it } from "vitest";
import { MteEventSource } from "../../src/index.js";
import { describeWithRelay, echo } from "../support/session.js";

describeWithRelay("a response through the relay itself", {}, (session) => {
  it("has the upstream's status, and a body or none", async () => {
    const cases = [
      [200, "status 200"],
      [204, ""],
      [304, ""],
      [404, "status 404"],
      [500, "status 500"],
      [560, "status 560"],
    ] as const;
    for (const [code, body] of cases) {
      const response = await session.client.fetch(`/status?code=${code}`);
      const got = [response.status, response.headers.get("x-status"), await response.text()];
      expect(got).toEqual([code, String(code), body]);
    }
    const head = await session.client.fetch("/bytes?n=17", { method: "HEAD" });
    expect([head.status, head.headers.get("content-length"), head.body]).toEqual([200, "17", null]);
    expect(await (await session.client.fetch("/empty")).text()).toBe("");
  });

  it("has all the upstream's headers, sealed or in the clear", async () => {
    for (const responseHeaders of ["*", ["x-status"], []] as const) {
      const response = await session.client.fetch("/status?code=404", {}, { responseHeaders });
      expect([response.status, response.headers.get("x-status")]).toEqual([404, "404"]);
      expect(response.headers.get("cache-control")).toBeNull();
    }
  });

  it("sets cookies, and a request sends them", async () => {
    const response = await session.client.fetch("/cookies", { headers: { cookie: "c=3" } });
    expect(response.headers.getSetCookie()).toEqual(["a=1; Path=/", "b=2; Path=/; HttpOnly"]);
    expect(await response.text()).toBe("c=3");
  });

  it("that redirects is followed within the relay", async () => {
    const { client, relay, upstream } = session;
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

  it("streams as the upstream sends it", async () => {
    const response = await session.client.fetch("/drip?n=4&ms=80");
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

  it("of 256 MiB takes little memory, also if it is read slowly at first", async () => {
    const length = 256 << 20;
    const response = await session.client.fetch(`/bytes?n=${length}`);
    const held = () => process.memoryUsage().arrayBuffers;
    const before = held();
    // Nothing is read meanwhile, so nothing may accumulate.
    await new Promise((resolve) => setTimeout(resolve, 500));
    let most = held();
    let read = 0;
    for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
      read += piece.length;
      most = Math.max(most, held());
    }
    expect(read).toBe(length);
    // Includes memory that is not garbage-collected yet, also the upstream's in this process.
    expect(most - before).toBeLessThan(128 << 20);
  });

  it("that the upstream truncates is an error and never a shorter body", async () => {
    const response = await session.client.fetch("/cut");
    await expect(response.text()).rejects.toBeInstanceOf(TypeError);
  });

  it("of server-sent events is read as they are sent, and again after its end", async () => {
    const source = new MteEventSource("/sse?n=3&ms=30&end", { fetch: session.client.fetch });
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
