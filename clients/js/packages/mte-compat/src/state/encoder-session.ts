/**
 * From one `instantiate` or `restoreState` of an encoder to the next: which numbers and places its messages get.
 *
 * A relay wants the messages of a request to have consecutive numbers and the places 0, 1, 2. Clients of version 4
 * know neither: they restore a state, encode URL, headers and body, and save. So a session is one request, and takes
 * its numbers in one go, before another request that awaits something in the middle can get between them.
 *
 * Some clients first encode an empty string per item, save what comes out as the next state, and restore the state
 * they began with. Those encodes cost numbers like all others (nobody can know that they are not sent), and they tell
 * how many messages the request will have. Its numbers are set aside when the state is saved, so that the saved state
 * is beyond them, also for another process that begins with it.
 */

import { NUMBER_LIMIT, place, UNKNOWN_FOLLOWING } from "@mte-relay/core";
import type { Slot } from "../codec/sealer.js";
import type { EncoderDirection, Reservation } from "./encoder-direction.js";

/** The numbers set aside where nobody knows how many messages come: URL, headers and body. */
const USUAL_GROUP = 3;
/** A place has three bits for the index. */
const MAX_GROUP = 8;

export class EncoderSession {
  readonly direction: EncoderDirection;
  /** What this session began with. */
  #origin: string | undefined;
  /** How many messages the group has, where that is known. */
  readonly #size: number | undefined;
  #numbers: Reservation | undefined;
  #taken = 0;
  #onlyEmpty = true;
  /** Numbers for the group that these empty encodes rehearse. */
  #rehearsed: Reservation | undefined;

  /** `origin`: the saved state that it begins with, in any form that tells states apart. */
  constructor(direction: EncoderDirection, origin?: string, size?: number, numbers?: Reservation) {
    this.direction = direction;
    this.#origin = origin;
    this.#size = size;
    this.#numbers = numbers;
  }

  /** Number and place for the next message. `raw`: it travels as bytes; `empty`: it has no plaintext. */
  take(raw: boolean, empty: boolean): Slot {
    if (this.#numbers === undefined || this.#numbers.left === 0) {
      this.#numbers = this.direction.reserve(this.#taken === 0 ? (this.#size ?? USUAL_GROUP) : 1);
    }
    const index = this.#taken++;
    this.#onlyEmpty &&= empty;
    const known = this.#size !== undefined && index < this.#size;
    const following = known ? this.#size - 1 - index : UNKNOWN_FOLLOWING;
    return { ...this.#numbers.take(), place: place(index % MAX_GROUP, following, raw) };
  }

  /** The state from here on. `nameOf` gives the form of it that `origin` has. */
  save(nameOf: (state: Uint8Array) => string): Uint8Array {
    const pending = this.#origin !== undefined && this.#rehearsed === undefined;
    if (pending && this.#isRehearsal && this.direction.next < NUMBER_LIMIT) {
      this.#rehearsed = this.direction.reserve(this.#taken);
    }
    const state = this.direction.save();
    if (this.#taken === 0) this.#origin ??= nameOf(state);
    return state;
  }

  /** The session that begins with a saved state, after this one. */
  restore(direction: EncoderDirection, origin: string): EncoderSession {
    const again = origin === this.#origin && this.#isRehearsal;
    const numbers = this.#rehearsed?.left === this.#taken ? this.#rehearsed : undefined;
    if (!again || numbers === undefined) this.#rehearsed?.release();
    this.#numbers?.release();
    return again
      ? new EncoderSession(direction, origin, this.#taken, numbers)
      : new EncoderSession(direction, origin);
  }

  /** Gives up the numbers that are left, and wipes their secrets. */
  release(): void {
    this.#numbers?.release();
    this.#rehearsed?.release();
  }

  get #isRehearsal(): boolean {
    return this.#onlyEmpty && this.#taken > 0 && this.#taken <= MAX_GROUP;
  }
}
