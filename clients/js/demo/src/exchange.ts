/** One request as it was sent, on the wire and as it arrived, and the same for its response. */

import type { Part, RelayEvent } from "@mte-relay/client";
import type { Body, Fields, UpstreamNews, WireMessage } from "./news.js";

/** The header that identifies the demo's requests. It is sealed like any other. */
export const MARK = "x-demo-request";

export interface Exchange {
  id: string;
  title: string;
  /** Milliseconds since 1970. */
  began: number;
  /** The eavesdropper's order. */
  order: string;
  method: string;
  target: string;
  headers: Fields;
  sent: Body;
  /** The sealed parts of the request, as the client created them. */
  parts: Part[];
  /** The sealed headers on the wire, which identify its message. */
  sealed: string | undefined;
  request: WireMessage | undefined;
  received: Extract<UpstreamNews, { kind: "received" }> | undefined;
  answering: Extract<UpstreamNews, { kind: "answering" }> | undefined;
  /** Events of a stream, by their number. */
  events: StreamedEvent[];
  /** How many of them the upstream has sent. */
  eventsSent: number;
  answered: Extract<UpstreamNews, { kind: "answered" }> | undefined;
  response: WireMessage | undefined;
  responsePart: Part | undefined;
  /** What the page read. */
  status: number | undefined;
  type: string;
  read: Body;
  readAt: number | undefined;
  over: boolean;
  /** Why there is no response, or not all of it. */
  error: string | undefined;
  /** The page itself stopped it. */
  stopped: boolean;
}

/** An event of a stream: when the upstream sent it, and when the page read it. */
export interface StreamedEvent {
  number: number;
  text: string;
  at?: number;
  read?: number;
}

const NOTHING: Body = { length: 0, sha256: "", text: "" };
/** The maximum number of exchanges kept. */
const MAX_EXCHANGES = 30;
/** The maximum number of events kept per exchange. */
const MAX_EVENTS = 200;

/** The exchanges of this page, the newest last, with a callback for changes. */
export class Exchanges {
  readonly all: Exchange[] = [];
  /** Messages without an exchange yet: the demo's news may arrive before the client's own event. */
  #unclaimed = new Map<number, WireMessage>();
  #numbers = 0;

  constructor(private readonly changed: (exchange: Exchange) => void) {}

  begin(about: Pick<Exchange, "title" | "method" | "target" | "order">): Exchange {
    const exchange: Exchange = {
      ...about,
      id: String(++this.#numbers),
      began: now(),
      headers: [],
      sent: NOTHING,
      parts: [],
      sealed: undefined,
      request: undefined,
      received: undefined,
      answering: undefined,
      events: [],
      eventsSent: 0,
      answered: undefined,
      response: undefined,
      responsePart: undefined,
      status: undefined,
      type: "",
      read: NOTHING,
      readAt: undefined,
      over: false,
      error: undefined,
      stopped: false,
    };
    this.all.push(exchange);
    if (this.all.length > MAX_EXCHANGES) this.all.shift();
    this.changed(exchange);
    return exchange;
  }

  update(exchange: Exchange, news: Partial<Exchange>): void {
    Object.assign(exchange, news);
    this.changed(exchange);
  }

  /** Handles an event of the client. */
  observe(event: RelayEvent, numbers: Map<number, Exchange>): void {
    if (event.type === "request") {
      const field = (list: Fields, wanted: string) => list.find(([name]) => name === wanted)?.[1];
      const exchange = this.all.find(({ id }) => id === field(event.headers, MARK));
      if (exchange === undefined) return;
      numbers.set(event.exchange, exchange);
      const sealed = field(event.wireHeaders, "x-mte-relay-eh");
      const headers = event.headers.filter(([name]) => name !== MARK);
      this.update(exchange, { headers, parts: event.parts, sealed });
      for (const message of this.#unclaimed.values()) this.#wire(message);
    }
    if (event.type === "response") {
      const exchange = numbers.get(event.exchange);
      if (exchange) this.update(exchange, { responsePart: event.part });
    }
  }

  /** Handles news from the demo. */
  news(one: WireMessage | UpstreamNews): void {
    if ("message" in one) this.#wire(one);
    else this.#upstream(one);
  }

  #wire(message: WireMessage): void {
    const mine = (exchange: Exchange) =>
      message.kind === "request"
        ? exchange.sealed !== undefined && message.headers.some(([, value]) => value === exchange.sealed)
        : exchange.request !== undefined && message.answers === exchange.request.message;
    const exchange = this.all.find(mine);
    if (exchange === undefined) {
      this.#unclaimed.set(message.message, message);
      for (const oldest of this.#unclaimed.keys()) {
        if (this.#unclaimed.size <= 64) break;
        this.#unclaimed.delete(oldest);
      }
      return;
    }
    this.#unclaimed.delete(message.message);
    this.update(exchange, { [message.kind]: message });
    // Its response may have arrived before the request was identified.
    if (message.kind === "request") {
      for (const answer of this.#unclaimed.values())
        if (answer.answers === message.message) this.#wire(answer);
    }
  }

  #upstream(one: UpstreamNews): void {
    const exchange = this.all.find((own) =>
      one.kind === "received"
        ? one.headers.some(([name, value]) => name === MARK && value === own.id)
        : own.received?.number === one.number,
    );
    if (exchange === undefined) return;
    if (one.kind === "received") this.update(exchange, { received: one });
    else if (one.kind === "answering") this.update(exchange, { answering: one });
    else if (one.kind === "answered") this.update(exchange, { answered: one });
    else {
      this.#event(exchange, { number: exchange.eventsSent++, text: one.text, at: one.at });
    }
  }

  /** The page has read an event; the upstream's news about it may arrive later. */
  readEvent(exchange: Exchange, number: number, text: string): void {
    this.#event(exchange, { number, text, read: now() });
  }

  #event(exchange: Exchange, event: StreamedEvent): void {
    const known = exchange.events.find(({ number }) => number === event.number);
    const others = exchange.events.filter((one) => one !== known);
    exchange.events = [...others, { ...known, ...event }].slice(-MAX_EVENTS);
    this.changed(exchange);
  }
}

/** Milliseconds since 1970, with fractions: the demo's clock is this machine's. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}
