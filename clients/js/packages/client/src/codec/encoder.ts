/** The sending end of a direction: single-use numbers and the secrets of their epochs (docs/codec.md, 3 and 6). */

import { EPOCH_MESSAGES, epochOf, NUMBER_LIMIT } from "@mte-relay/core";
import { type EpochKey, nextEpoch } from "./schedule.js";

/** A number reserved for one message, and the secret of its epoch. */
export interface Slot {
  number: number;
  epoch: Promise<EpochKey>;
}

export class Encoder {
  #next = 0;
  #key: Promise<EpochKey>;

  constructor(root: EpochKey) {
    this.#key = Promise.resolve(root);
  }

  /** The number that the next message gets. */
  get next(): number {
    return this.#next;
  }

  /** Reserves consecutive numbers. The numbers are reserved immediately, their secrets are derived later. */
  reserve(count: number): Slot[] {
    if (this.#next + count > NUMBER_LIMIT) throw new RangeError("the pair's numbers are used up");
    return Array.from({ length: count }, () => this.#take());
  }

  #take(): Slot {
    const slot = { number: this.#next++, epoch: this.#key };
    // The epoch's secret is dropped as soon as no later message needs it.
    if (this.#next % EPOCH_MESSAGES === 0 && epochOf(this.#next) > epochOf(slot.number)) {
      this.#key = slot.epoch.then(nextEpoch);
    }
    return slot;
  }
}
