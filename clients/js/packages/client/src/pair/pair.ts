/** A pair: one direction to the relay and one back. It may have many requests in flight. */

import { NUMBER_LIMIT } from "@mte-relay/core";
import type { Decoder } from "../codec/decoder.js";
import type { Encoder, Slot } from "../codec/encoder.js";

/**
 * The maximum number of requests started on a pair since its oldest one still in flight. A decoder's window reaches 511
 * numbers back (docs/codec.md, section 6) and a request uses up to three: beyond this limit, a slow exchange would fall
 * out of the window.
 */
const MAX_BEHIND = 160;

/** How long a pair is used, in milliseconds: less than the relay keeps it. */
export interface Lifetime {
  /** Since it was created. */
  maxAge: number;
  /** Since its last request. */
  idle: number;
  /** Since it was created, if it was never used. */
  unused: number;
}

/** A request in flight on a pair, until it is released. */
export interface Ticket {
  readonly pair: Pair;
  /** Called when the request has its response, or will never get one. */
  release(): void;
}

export class Pair {
  #begun = 0;
  /** Requests in flight, by the count at which they started; a Set preserves their order. */
  #waiting = new Set<number>();
  readonly #made = Date.now();
  #used: number | undefined;

  constructor(
    /** Its name in `x-mte-relay`. */
    readonly id: string,
    /** The signed client id that it belongs to. */
    public clientId: string,
    readonly encoder: Encoder,
    readonly decoder: Decoder,
  ) {}

  /** Whether new requests must wait for an older response, which could otherwise fall out of the window. */
  get congested(): boolean {
    const [oldest] = this.#waiting;
    return oldest !== undefined && this.#begun - oldest >= MAX_BEHIND;
  }

  /** Whether its numbers are used up (docs/codec.md, section 6). */
  get spent(): boolean {
    // A response uses two numbers of its direction, so that direction runs out first for requests without a body.
    return Math.max(this.encoder.next, this.#begun * 2) + 4 > NUMBER_LIMIT;
  }

  /** Whether the relay may have dropped it. */
  stale(lifetime: Lifetime, now = Date.now()): boolean {
    if (this.age(now) > lifetime.maxAge) return true;
    return this.#used === undefined ? now - this.#made > lifetime.unused : now - this.#used > lifetime.idle;
  }

  /** Milliseconds since it was created. */
  age(now = Date.now()): number {
    return now - this.#made;
  }

  /** Reserves the numbers for one request of `messages` messages. */
  begin(messages: number): { slots: Slot[]; ticket: Ticket } {
    const slots = this.encoder.reserve(messages);
    const begun = this.#begun++;
    this.#used = Date.now();
    this.#waiting.add(begun);
    return { slots, ticket: { pair: this, release: () => void this.#waiting.delete(begun) } };
  }
}
