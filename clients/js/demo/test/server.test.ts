import { execFile } from "node:child_process";
import { get } from "node:http";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { relayBinary } from "../../packages/client/test/support/relay-process.js";
import { type DemoProcess, startDemoProcess } from "./demo.js";

describe("the demo", () => {
  let demo: DemoProcess;
  beforeAll(async () => {
    demo = await startDemoProcess();
  });
  afterAll(() => demo?.stop());

  it("ends by itself where there is no terminal, and says that all is well", async () => {
    const { stdout } = await promisify(execFile)(relayBinary(), ["demo"]);
    expect(stdout).toMatch(/\nAll \d+ checks hold/);
    expect(stdout).not.toContain("In a browser");
  });

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

  it("takes no order that it does not know, and none under a name that is not its own", async () => {
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
