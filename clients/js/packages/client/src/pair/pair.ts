/** A pair: two one-way directions with a relay. It may have many requests in flight. */

import { NUMBER_LIMIT } from "@mte-relay/core";
import type { Decoder } from "../codec/decoder.js";
import type { Encoder, Slot } from "../codec/encoder.js";

/**
 * Requests begun on a pair since its oldest one that still waits for its response. A decoder reaches 511 numbers back
 * (docs/codec.md, section 6) and a request takes up to three: beyond this a slow exchange would fall out of a window.
 */
const MOST_BEHIND = 160;

/** How long a pair is used, in milliseconds: less than the relay keeps it. */
export interface Lifetime {
  /** Since it was made. */
  maxAge: number;
  /** Since its last request. */
  idle: number;
  /** Since it was made, if it never had a request. */
  unused: number;
}

/** A request in flight on a pair, until it is released. */
export interface Ticket {
  readonly pair: Pair;
  /** The request has its response, or never will. */
  release(): void;
}

export class Pair {
  #begun = 0;
  /** Requests that wait for their response, by the count they began at; a Set keeps their order. */
  #waiting = new Set<number>();
  readonly #made = Date.now();
  #used: number | undefined;

  constructor(
    /** Its name, as it stands in `x-mte-relay`. */
    readonly id: string,
    /** The signed client id that it belongs to. */
    public clientId: string,
    readonly encoder: Encoder,
    readonly decoder: Decoder,
  ) {}

  /** Whether no request may begin before an older one has its response, lest that one fall out of a window. */
  get congested(): boolean {
    const [oldest] = this.#waiting;
    return oldest !== undefined && this.#begun - oldest >= MOST_BEHIND;
  }

  /** Whether its numbers are used up (docs/codec.md, section 6). */
  get spent(): boolean {
    // A response takes two numbers of its own direction, so that one runs out first for requests without a body.
    return Math.max(this.encoder.next, this.#begun * 2) + 4 > NUMBER_LIMIT;
  }

  /** Whether the relay may have dropped it. */
  stale(lifetime: Lifetime, now = Date.now()): boolean {
    if (this.age(now) > lifetime.maxAge) return true;
    return this.#used === undefined ? now - this.#made > lifetime.unused : now - this.#used > lifetime.idle;
  }

  /** Milliseconds since it was made. */
  age(now = Date.now()): number {
    return now - this.#made;
  }

  /** Takes the numbers of one request of so many messages. */
  begin(messages: number): { slots: Slot[]; ticket: Ticket } {
    const slots = this.encoder.reserve(messages);
    const begun = this.#begun++;
    this.#used = Date.now();
    this.#waiting.add(begun);
    return { slots, ticket: { pair: this, release: () => void this.#waiting.delete(begun) } };
  }
}
