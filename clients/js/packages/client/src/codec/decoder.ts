/** The receiving end of a direction: its window, and the epochs that the window reaches (docs/codec.md, 3 and 6). */

import { epochOf, Window } from "@mte-relay/core";
import { type EpochKey, nextEpoch } from "./schedule.js";

/** An epoch's secret, and the secrets derived on the way to it that are not stored yet. */
export interface Reached {
  key: EpochKey;
  derived: ReadonlyMap<number, EpochKey>;
}

/** Where the secret of a message comes from. */
export interface Secrets {
  /** Throws DecodeError for a number that cannot be accepted. */
  reach(number: number): Promise<Reached>;
}

export class Decoder implements Secrets {
  #window = new Window();
  /** Consecutive epochs, from the oldest that the window reaches. */
  #epochs: Map<number, EpochKey>;

  constructor(root: EpochKey) {
    this.#epochs = new Map([[0, root]]);
  }

  /**
   * The secret for the message with this number. Derives later epochs if needed, but stores none of them: only
   * {@link commit} does. Throws DecodeError for a number that the window does not accept.
   */
  async reach(number: number): Promise<Reached> {
    this.#window.check(number);
    const wanted = epochOf(number);
    const derived = new Map<number, EpochKey>();
    let epoch = Math.min(wanted, Math.max(...this.#epochs.keys()));
    let key = this.#epochs.get(epoch)!;
    while (epoch < wanted) {
      key = await nextEpoch(key);
      derived.set(++epoch, key);
    }
    return { key, derived };
  }

  /** Marks the numbers of messages that verified as used, all or none. Throws DecodeError. */
  commit(first: number, count: number, reached?: Reached): void {
    this.#window.commit(first, count);
    for (const [epoch, key] of reached?.derived ?? []) this.#epochs.set(epoch, key);
    const oldest = epochOf(this.#window.lowest);
    for (const epoch of this.#epochs.keys()) if (epoch < oldest) this.#epochs.delete(epoch);
  }
}
