import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventStream } from "../../src/event-stream.js";
import { createRelayClient, MteEventSource } from "../../src/index.js";
import { FakeRelay } from "../support/fake-relay.js";

describe("an event stream", () => {
  const read = (text: string, size = text.length) => {
    const stream = new EventStream(1000);
    const events = [];
    for (let at = 0; at < text.length; at += size) events.push(...stream.push(text.slice(at, at + size)));
    return { events: events.map(({ type, data, lastEventId }) => [type, data, lastEventId]), stream };
  };

  it("is read the same wherever it is split, with any line endings", () => {
    const text =
      "\ufeff: comment\nid: 1\ndata: a\ndata:b\ndata\n\nevent: x\r\ndata:  c\r\n\r\nretry: 50\rid\rdata: d\r\rdata: lost";
    for (const size of [text.length, 1, 2, 3, 7]) {
      const { events, stream } = read(text, size);
      expect(events, `pieces of ${size}`).toEqual([
        ["message", "a\nb\n", "1"],
        ["x", " c", "1"],
        ["message", "d", ""],
      ]);
      expect(stream.retry).toBe(50);
    }
  });

  it("has no event without data, and ignores what it does not know", () => {
    const { events, stream } = read("event: x\n\nid: 7\n\nunknown: y\nretry: soon\nid: a\0b\ndata:\n\n");
    expect(events).toEqual([["message", "", "7"]]);
    expect(stream.retry).toBeUndefined();
  });

  it("limits the size of events", () => {
    expect(() => read(`data: ${"x".repeat(1001)}`)).toThrow(RangeError);
    expect(() => read("data: xxxxxxxxx\n".repeat(101), 16)).toThrow(RangeError);
    expect(read(`data: ${"x".repeat(900)}\n\n`.repeat(5), 100).events.length).toBe(5);
  });
});

describe("an MteEventSource", () => {
  let relay: FakeRelay;
  let source: MteEventSource | undefined;
  beforeEach(async () => {
    relay = await FakeRelay.start();
  });
  afterEach(async () => {
    source?.close();
    await relay.stop();
  });

  const open = (init = {}) => {
    source = new MteEventSource("/events", {
      fetch: createRelayClient({ url: relay.url, numberOfPairs: 1 }).fetch,
      ...init,
    });
    return source;
  };
  const stream = (body: string) => ({
    headers: { "content-type": "text/event-stream; charset=utf-8" },
    body,
  });
  const until = (target: EventTarget, type: string) =>
    new Promise<Event & { data?: string; error?: unknown }>((resolve) =>
      target.addEventListener(type, resolve as never, { once: true }),
    );

  it("emits events, reconnects after their end, and sends the last event id", async () => {
    let served = 0;
    relay.answer = (request) => {
      expect(request.headers.get("accept")).toBe("text/event-stream");
      const id = Number(request.headers.get("last-event-id") ?? 0) + 1;
      served++;
      return stream(`retry: 10\nid: ${id}\ndata: n${id}\n\nevent: extra\ndata: x\n\n`);
    };
    const events = open({ headers: { authorization: "Bearer x" } });
    expect([events.readyState, events.url]).toEqual([MteEventSource.CONNECTING, "/events"]);
    const messages: string[] = [];
    let opened = 0;
    events.onopen = () => void opened++;
    const third = new Promise<void>((resolve) => {
      events.onmessage = (event) => {
        messages.push(`${event.data}/${event.lastEventId}/${event.origin}`);
        if (messages.length === 3) resolve();
      };
    });
    await until(events, "extra");
    expect(events.readyState).toBe(events.OPEN);
    await third;
    expect(messages).toEqual([1, 2, 3].map((n) => `n${n}/${n}/${relay.url}`));
    expect(opened).toBe(3);
    events.close();
    expect(events.readyState).toBe(events.CLOSED);
    expect(relay.requests[0]!.headers.get("authorization")).toBe("Bearer x");
    expect(served).toBe(3);
  });

  it.each([
    ["status 204", { status: 204 }, "status 204"],
    ["status 500", { status: 500, body: "x" }, "status 500"],
    ["another type", { headers: { "content-type": "text/plain" }, body: "x" }, 'content type "text/plain"'],
  ])("is closed permanently on %s", async (_, answer, message) => {
    relay.answer = () => answer;
    const events = open();
    const error = await until(events, "error");
    expect(events.readyState).toBe(events.CLOSED);
    expect(String(error.error)).toContain(message);
    expect(relay.requests.length).toBe(1);
  });

  it("tries again when the relay or the network fails", async () => {
    const answers = [{ plain: 502 }, { ...stream("retry: 5\n\ndata: cut"), destroy: true, following: 1 }];
    relay.answer = () => answers.shift() ?? stream("data: at last\n\n");
    const events = open();
    // Until the stream sets another time, attempts are three seconds apart.
    const error = await until(events, "error");
    expect([events.readyState, (error.error as { status: number }).status]).toEqual([events.CONNECTING, 502]);
    expect((await until(events, "message")).data).toBe("at last");
  });

  it("ends without another event when it is closed", async () => {
    relay.answer = () => stream("data: 1\n\ndata: 2\n\ndata: 3\n\n");
    const events = open();
    const seen: string[] = [];
    events.onerror = () => void seen.push("error");
    await new Promise<void>((resolve) => {
      events.onmessage = (event) => {
        seen.push(event.data);
        events.close();
        setTimeout(resolve, 100);
      };
    });
    expect(seen).toEqual(["1"]);
    expect(relay.requests.length).toBe(1);
  });
});
