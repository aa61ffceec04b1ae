import { get } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DemoProcess, startDemoProcess } from "./demo.js";

describe("the server of the demo's page", () => {
  let demo: DemoProcess;
  beforeAll(async () => {
    demo = await startDemoProcess();
  });
  afterAll(() => demo?.stop());

  it("serves a page that loads nothing from elsewhere and cannot be framed", async () => {
    const response = await fetch(demo.url);
    expect(await response.text()).toContain("<title>MTE Relay");
    const policy = response.headers.get("content-security-policy");
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    const { relay } = await (await fetch(`${demo.url}setup`)).json();
    expect(policy).toMatch(new RegExp(`connect-src 'self' ${relay}$`));
    expect((await fetch(`${demo.url}elsewhere`)).status).toBe(404);
  });

  it("refuses unknown orders, and requests with a foreign host name", async () => {
    const order = (name: string) => fetch(`${demo.url}order?do=${name}`, { method: "POST" });
    expect((await order("replay")).status).toBe(204);
    expect((await order("none")).status).toBe(204);
    expect((await order("explode")).status).toBe(400);
    const status = await new Promise((resolve, reject) => {
      get(`${demo.url}setup`, { headers: { host: "elsewhere.example" } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on("error", reject);
    });
    expect(status).toBe(421);
  });
});
