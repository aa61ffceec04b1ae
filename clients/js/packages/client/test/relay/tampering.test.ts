import { fromBase64, toBase64 } from "@mte-relay/core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createRelayClient, type RefusalCode, type RelayClient } from "../../src/index.js";
import { describeWithRelay } from "../support/session.js";
import { type Passing, startTamperProxy, type TamperProxy } from "../support/tamper.js";

/** Changes one bit of a message sent as base64. */
function changed(text: unknown): string {
  const message = fromBase64(String(text));
  message[32]! ^= 1;
  return toBase64(message);
}

function changedPath(path: string): string {
  return `/${encodeURIComponent(changed(decodeURIComponent(path.slice(1))))}`;
}

function flag(passing: Passing, to: string): void {
  passing.headers["x-mte-relay"] = String(passing.headers["x-mte-relay"]).replace(/(,[01]){4}/, to);
}

describeWithRelay(
  "an attacker between client and relay",
  { tenant: ["require_binding: true"] },
  (session) => {
    let proxy: TamperProxy;
    let victim: RelayClient;
    beforeAll(async () => {
      proxy = await startTamperProxy(session.relay.port);
    });
    afterAll(() => proxy?.stop());

    const begin = async () => {
      proxy.request = undefined;
      proxy.response = undefined;
      proxy.seen = [];
      victim = createRelayClient({ url: proxy.url, numberOfPairs: 1, resend: "never" });
      expect((await victim.fetch("/echo?sealed", { method: "POST", body: "sealed body" })).ok).toBe(true);
      session.upstream.seen.length = 0;
    };

    it("sees neither URL nor headers nor bodies", async () => {
      await begin();
      const wire = proxy.seen
        .map(({ path, headers, body }) => path + JSON.stringify(headers) + body.toString("latin1"))
        .join();
      for (const secret of ["echo", "sealed", "text/plain"]) expect(wire).not.toContain(secret);
    });

    it.each<[string, (passing: Passing) => unknown]>([
      ["change its body", ({ body }) => body.writeUInt8(body.readUInt8(30) ^ 1, 30)],
      ["change its URL", (passing) => Object.assign(passing, { path: changedPath(passing.path) })],
      [
        "change its headers",
        ({ headers }) => Object.assign(headers, { "x-mte-relay-eh": changed(headers["x-mte-relay-eh"]) }),
      ],
      ["change its method", (passing) => Object.assign(passing, { method: "PUT" })],
      ["change its type", (passing) => flag(passing, ",0,1,1,1")],
      ["change its body's flag", (passing) => flag(passing, ",1,1,1,0")],
      ["truncate its body", (passing) => Object.assign(passing, { body: passing.body.subarray(0, 40) })],
      ["drop its body", (passing) => Object.assign(passing, { body: Buffer.alloc(0) })],
    ])("cannot intercept a request and %s", async (_, change) => {
      await begin();
      proxy.request = change;
      const request = victim.fetch("/echo", { method: "POST", body: "a body of some length" });
      await expect(request).rejects.toMatchObject({ kind: "relay", status: 562 });
      expect(session.upstream.seen).toEqual([]);
    });

    it("cannot replay a request", async () => {
      await begin();
      const { method, path, headers, body } = proxy.seen[0]!;
      const sent = ["x-mte-relay", "x-mte-relay-eh"].map((name) => [name, String(headers[name])]);
      const replay = await fetch(session.relay.url + path, {
        method,
        headers: Object.fromEntries(sent),
        body: new Uint8Array(body),
      });
      expect(replay.status).toBe(562);
      expect(session.upstream.seen).toEqual([]);
    });

    it.each<[string, RefusalCode, (passing: Passing) => unknown]>([
      ["change its status", "other-exchange", (passing) => Object.assign(passing, { status: 201 })],
      ["change its body", "changed-body", ({ body }) => body.writeUInt8(body.at(-1)! ^ 1, body.length - 1)],
      [
        "truncate its body between frames",
        "cut-body",
        (passing) => Object.assign(passing, { body: passing.body.subarray(0, -20) }),
      ],
      [
        "add to its body",
        "changed-body",
        (passing) => Object.assign(passing, { body: Buffer.concat([passing.body, Buffer.from("more")]) }),
      ],
      [
        "replace its body with a forged one",
        "changed-body",
        (passing) => {
          passing.body = Buffer.from("a body in the clear, long enough for a header");
          flag(passing, ",1,0,1,0");
        },
      ],
      ["drop its sealed headers", "not-sealed", ({ headers }) => delete headers["x-mte-relay-eh"]],
    ])("cannot intercept a response and %s: %s", async (_, code, change) => {
      await begin();
      proxy.response = change;
      const read = victim.fetch("/drip?n=2&ms=5").then((response) => response.text());
      await expect(read).rejects.toMatchObject({ kind: "response", code });
    });

    it.each(["/drip?n=2&ms=5", "/bytes?n=1", "/bytes?n=300000", "/status?code=404"])(
      "cannot empty the response to %s, whatever flags and lengths say",
      async (path) => {
        await begin();
        for (const flags of [undefined, ",1,0,1,0", ",1,0,0,0"]) {
          proxy.response = (passing) => {
            passing.body = Buffer.alloc(0);
            if (flags) flag(passing, flags);
          };
          for (const encodeType of ["MKE", "MTE"] as const) {
            const read = victim.fetch(path, {}, { encodeType }).then((response) => response.text());
            await expect(read).rejects.toMatchObject({ kind: "response", code: "missing-body" });
          }
        }
      },
    );

    it("cannot fill the response that has no body", async () => {
      await begin();
      proxy.response = (passing) => {
        passing.body = Buffer.from("forged");
        flag(passing, ",1,0,1,1");
      };
      const read = victim.fetch("/empty").then((response) => response.text());
      await expect(read).rejects.toMatchObject({ kind: "response", code: "clear-body" });
    });

    it("cannot add or change a header of a response", async () => {
      await begin();
      proxy.response = ({ headers }) => {
        const names = [
          "content-type",
          "content-encoding",
          "etag",
          "cache-control",
          "vary",
          "location",
          "x-status",
        ];
        for (const name of [...names, "x-added", "content-range", "age"]) headers[name] = "forged";
      };
      const response = await victim.fetch("/status?code=404");
      expect([response.status, response.headers.get("x-status")]).toEqual([404, "404"]);
      expect([...response.headers].filter(([, value]) => value === "forged")).toEqual([]);
      expect(await response.text()).toBe("status 404");
    });

    it("sees only those headers of a response that browsers and proxies act on", async () => {
      await begin();
      let names: string[] = [];
      proxy.response = ({ headers }) => {
        names = Object.keys(headers);
      };
      expect((await victim.fetch("/status?code=200")).headers.get("x-status")).toBe("200");
      const visible = ["cache-control", "content-length", "content-type", "date", "x-request-id"];
      const hop = ["connection", "keep-alive", "transfer-encoding", "x-mte-relay", "x-mte-relay-eh"];
      expect(names.filter((name) => ![...visible, ...hop].includes(name))).toEqual([]);
    });

    it("cannot answer with the response to another request", async () => {
      await begin();
      const answers: Pick<Passing, "headers" | "body">[] = [];
      proxy.response = (passing) => {
        answers.push({ headers: { ...passing.headers }, body: Buffer.from(passing.body) });
        if (answers.length > 1) Object.assign(passing, answers[0]);
      };
      expect((await victim.fetch("/echo?1")).ok).toBe(true);
      const refused = { kind: "response", code: "sealed-headers" };
      await expect(victim.fetch("/echo?2")).rejects.toMatchObject(refused);
    });

    it("cannot break the connection during a body unnoticed", async () => {
      await begin();
      proxy.response = () => "cut";
      const read = victim.fetch("/bytes?n=300000").then((response) => response.arrayBuffer());
      await expect(read).rejects.toBeInstanceOf(TypeError);
    });

    it("can make the client pair again and repeat its request, once", async () => {
      await begin();
      const client = createRelayClient({ url: proxy.url, numberOfPairs: 1 });
      await client.pair();
      proxy.seen = [];
      proxy.response = (passing) => {
        passing.status = 560;
        delete passing.headers["x-mte-relay-eh"];
      };
      await expect(client.fetch("/echo")).rejects.toThrow("sent twice, under two pairs");
      expect(proxy.seen.length).toBe(2);
      // A POST took effect, and does not a second time.
      session.upstream.seen.length = 0;
      await expect(client.fetch("/echo", { method: "POST", body: "x" })).rejects.toMatchObject({
        code: "not-repeated",
        message: expect.stringContaining("find out whether it took effect"),
      });
      expect(session.upstream.seen.length).toBe(1);
    });
  },
);
