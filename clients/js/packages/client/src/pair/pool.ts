/**
 * The client id and the pairs of a client: created on first use, used in turn, renewed before they expire, dropped when
 * the relay says so. Callers that arrive during a pairing share its result, including an error.
 */

import { meansStateLost, requiresNewClientId } from "@mte-relay/core";
import { MteRelayError } from "../errors.js";
import type { Lifetime, Pair } from "./pair.js";

/** The maximum number of pairs, even if all of them wait for slow responses. */
const MAX_PAIRS = 100;
/** The fraction of its maximum age after which a pair is renewed in the background. */
const RENEW_AT = 0.8;
/** The delay between attempts to renew, in milliseconds. */
const RENEW_PAUSE = 30_000;

/** The result of a pairing. */
export interface NewPairs {
  clientId: string;
  pairs: Pair[];
}

/** Creates pairs; `clientId` is the current one, `reason` is why the pairing is necessary. */
export type MakePairs = (clientId: string | undefined, reason: string | undefined) => Promise<NewPairs>;

export class Pool {
  /** Each with the pairing that created it. */
  #pairs: { pairing: number; pair: Pair }[] = [];
  #turn = 0;
  #pairings = 0;
  #underWay: Promise<void> | undefined;
  #renewed = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly make: MakePairs,
    private readonly lifetime: Lifetime,
    /** The signed client id, once there is one. */
    public clientId?: string,
  ) {}

  /** The next pair in turn; creates new ones if none can take a request. */
  async take(reason?: string): Promise<Pair> {
    for (let attempt = 0; attempt < 3; attempt++) {
      const pair = this.#pick();
      if (pair !== undefined) {
        this.#renewAhead(pair);
        return pair;
      }
      this.#underWay ??= this.#pair(reason);
      await this.#underWay;
    }
    throw new MteRelayError("pairing", "the relay drops pairs as fast as they are created; try again later");
  }

  /**
   * Drops what the status invalidates (docs/protocol.md, section 5): the pair; on 560, when the relay seems to have
   * lost its state, all pairs of the same pairing or earlier ones; on 566 the client id with all its pairs.
   */
  drop(pair: Pair, status: number): void {
    if (requiresNewClientId(status)) {
      if (this.clientId === pair.clientId) this.clientId = undefined;
      this.#keep((one) => one.pair.clientId !== pair.clientId);
    } else if (meansStateLost(status)) {
      const lost = this.#pairs.find((one) => one.pair === pair)?.pairing;
      // If it is already gone, the request that dropped it has dropped the others too.
      if (lost !== undefined) this.#keep((one) => one.pairing > lost);
    } else {
      this.#keep((one) => one.pair !== pair);
    }
  }

  /**
   * Switches to the id in a response if it is this client's id with a new signature: the relay's secret is being
   * rotated (docs/protocol.md, section 1).
   */
  takeSignature(signed: string | undefined): void {
    const [client] = signed?.split(".", 1) ?? [];
    if (signed === undefined || signed === this.clientId || client !== this.clientId?.split(".", 1)[0])
      return;
    this.clientId = signed;
    for (const { pair } of this.#pairs) if (pair.clientId.split(".", 1)[0] === client) pair.clientId = signed;
  }

  /** How many pairs there are. */
  get size(): number {
    return this.#pairs.length;
  }

  #pick(): Pair | undefined {
    const now = Date.now();
    this.#keep(({ pair }) => !pair.spent && !pair.stale(this.lifetime, now));
    const count = this.#pairs.length;
    for (let tried = 0; tried < count; tried++) {
      this.#turn = (this.#turn + 1) % count;
      const { pair } = this.#pairs[this.#turn]!;
      if (!pair.congested) return pair;
    }
    // All wait for old responses. At the limit, a pair is reused, at the risk of losing late responses.
    return count >= MAX_PAIRS ? this.#pairs[this.#turn % count]?.pair : undefined;
  }

  async #pair(reason: string | undefined): Promise<void> {
    try {
      const { clientId, pairs } = await this.make(this.clientId, reason);
      const pairing = ++this.#pairings;
      this.clientId = clientId;
      this.#pairs.push(...pairs.map((pair) => ({ pairing, pair })));
    } finally {
      this.#underWay = undefined;
    }
  }

  /** Creates new pairs in the background if this one is about to expire. */
  #renewAhead(pair: Pair): void {
    const limit = RENEW_AT * this.lifetime.maxAge;
    const now = Date.now();
    if (pair.age(now) < limit || this.#underWay !== undefined || now - this.#renewed < RENEW_PAUSE) return;
    this.#renewed = now;
    this.#underWay = this.#pair("the pairs are about to expire").then(() => {
      this.#keep((one) => one.pair.age() < limit);
    });
    // The old pairs still work; a caller that needs new ones tries again.
    this.#underWay.catch(() => {});
  }

  #keep(wanted: (one: { pairing: number; pair: Pair }) => boolean): void {
    this.#pairs = this.#pairs.filter(wanted);
  }
}
