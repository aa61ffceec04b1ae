/** A decoder's window (docs/codec.md, section 6) that can be stored, and merged with another one. */

import { DecodeError, NUMBER_LIMIT, WINDOW_AHEAD, WINDOW_BACK } from "@mte-relay/core";

const SPAN = WINDOW_BACK + 1;
/** Bytes of a window's bits: bit n mod 8 of byte (n mod 512) div 8 says that n was used. */
export const BITS_SIZE = SPAN / 8;

export class StoredWindow {
  #highest: number;
  readonly #bits: Uint8Array;

  /** An empty window, or one with the `highest` and `bits` of another one. */
  constructor(highest = -1, bits: Uint8Array = new Uint8Array(BITS_SIZE)) {
    this.#highest = highest;
    this.#bits = bits.slice();
  }

  /** The highest number used, initially -1. */
  get highest(): number {
    return this.#highest;
  }

  /** The lowest number that may still be accepted. */
  get lowest(): number {
    return Math.max(0, this.#highest - WINDOW_BACK);
  }

  /** A copy of its bits, `BITS_SIZE` bytes. */
  get bits(): Uint8Array {
    return this.#bits.slice();
  }

  /** Throws DecodeError if the number is refused. */
  check(number: number): void {
    if (number >= NUMBER_LIMIT) throw new DecodeError("exhausted", `number ${number}`);
    if (number < this.#highest - WINDOW_BACK || number > this.#highest + WINDOW_AHEAD) {
      throw new DecodeError("out of window", `number ${number}, highest ${this.#highest}`);
    }
    if (this.has(number)) throw new DecodeError("replayed", `number ${number}`);
  }

  /** Marks a number as used, once. Throws DecodeError. */
  take(number: number): void {
    this.check(number);
    this.#reach(number);
    this.#mark(number);
  }

  /** Whether the number was used and is still within the window. */
  has(number: number): boolean {
    if (number < this.lowest || number > this.#highest) return false;
    return (this.#bits[(number % SPAN) >> 3]! & (1 << (number % 8))) !== 0;
  }

  /** Marks every number as used that another window of the same direction has used. */
  unite(other: StoredWindow): void {
    this.#reach(other.highest);
    for (let number = this.lowest; number <= other.highest; number++) {
      if (other.has(number)) this.#mark(number);
    }
  }

  #mark(number: number): void {
    this.#bits[(number % SPAN) >> 3]! |= 1 << (number % 8);
  }

  /** Advances to `number`, which is not marked as used yet. */
  #reach(number: number): void {
    for (let gap = Math.max(this.#highest + 1, number - WINDOW_BACK); gap <= number; gap++) {
      this.#bits[(gap % SPAN) >> 3]! &= ~(1 << (gap % 8));
    }
    this.#highest = Math.max(this.#highest, number);
  }
}
