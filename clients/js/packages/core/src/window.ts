/** Which numbers a decoder still accepts (docs/codec.md, section 6). */

import { DecodeError, type DecodeReason } from "./errors.js";
import { NUMBER_LIMIT } from "./header.js";

export const WINDOW_BACK = 511;
export const WINDOW_AHEAD = 4_096;
/** Messages per epoch (docs/codec.md, section 3). */
export const EPOCH_MESSAGES = 32;
const SPAN = WINDOW_BACK + 1;

/** The epoch of a message. */
export function epochOf(number: number): number {
  return Math.floor(number / EPOCH_MESSAGES);
}

/** A decoder's window: it accepts each number once, in any order within its range. */
export class Window {
  #highest = -1;
  /** One bit per number, at the number modulo 512. */
  #taken = new Uint32Array(SPAN / 32);

  /** The highest number used, initially -1. */
  get highest(): number {
    return this.#highest;
  }

  /** The lowest number that it may still accept. */
  get lowest(): number {
    return Math.max(0, this.#highest - WINDOW_BACK);
  }

  /** Why it would refuse `number`; undefined if it would accept it. */
  refusal(number: number): DecodeReason | undefined {
    if (number >= NUMBER_LIMIT) return "exhausted";
    if (number < this.#highest - WINDOW_BACK || number > this.#highest + WINDOW_AHEAD) return "out of window";
    if (number <= this.#highest && this.#has(number)) return "replayed";
    return undefined;
  }

  /** Throws DecodeError if it would refuse `number`. */
  check(number: number): void {
    const refusal = this.refusal(number);
    if (refusal !== undefined) throw new DecodeError(refusal, `number ${number}`);
  }

  /** Marks `count` numbers from `first` on as used: all or none. Throws DecodeError. */
  commit(first: number, count = 1): void {
    const before = { highest: this.#highest, taken: this.#taken.slice() };
    try {
      for (let number = first; number < first + count; number++) {
        this.check(number);
        this.#take(number);
      }
    } catch (error) {
      this.#highest = before.highest;
      this.#taken = before.taken;
      throw error;
    }
  }

  #has(number: number): boolean {
    return (this.#taken[(number % SPAN) >>> 5]! & (1 << (number % 32))) !== 0;
  }

  #take(number: number): void {
    if (number > this.#highest) {
      if (number - this.#highest >= SPAN) this.#taken.fill(0);
      else for (let gap = this.#highest + 1; gap < number; gap++) this.#clear(gap);
      this.#highest = number;
    }
    this.#taken[(number % SPAN) >>> 5]! |= 1 << (number % 32);
  }

  #clear(number: number): void {
    this.#taken[(number % SPAN) >>> 5]! &= ~(1 << (number % 32));
  }
}
