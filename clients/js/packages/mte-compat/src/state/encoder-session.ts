/**
 * Which numbers and places an encoder's messages get, from one `instantiate` or `restoreState` to the next.
 *
 * A relay requires the messages of a request to have consecutive numbers and the places 0, 1, 2. Clients of version 4
 * know neither: they restore a state, encode URL, headers and body, and save. So a session is one request, and reserves
 * all its numbers at once, before a concurrent request can use one of them.
 *
 * Some clients first encode an empty string per item, save the result as the next state, and restore the state they
 * started with. Those encodes use up numbers like all others, since the module cannot know that they are not sent, and
 * they show how many messages the request will have. Its numbers are reserved when the state is saved, so that the
 * saved state is beyond them, also for another process that starts with it.
 */

import { NUMBER_LIMIT, place, UNKNOWN_FOLLOWING } from "@mte-relay/core";
import type { Slot } from "../codec/sealer.js";
import type { EncoderDirection, Reservation } from "./encoder-direction.js";

/** The numbers reserved if the count of messages is unknown: URL, headers and body. */
const USUAL_GROUP = 3;
/** A place has three bits for the index. */
const MAX_GROUP = 8;

export class EncoderSession {
  readonly direction: EncoderDirection;
  /** The saved state that this session started with. */
  #origin: string | undefined;
  /** How many messages the group has, if that is known. */
  readonly #size: number | undefined;
  #numbers: Reservation | undefined;
  #taken = 0;
  #onlyEmpty = true;
  /** Numbers for the group that these empty encodes rehearse. */
  #rehearsed: Reservation | undefined;

  /** `origin`: an identifier of the saved state that it starts with. */
  constructor(direction: EncoderDirection, origin?: string, size?: number, numbers?: Reservation) {
    this.direction = direction;
    this.#origin = origin;
    this.#size = size;
    this.#numbers = numbers;
  }

  /** Number and place for the next message. `raw`: it is sent as bytes; `empty`: it has no plaintext. */
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

  /** The current state. `nameOf` returns its identifier, as in `origin`. */
  save(nameOf: (state: Uint8Array) => string): Uint8Array {
    const pending = this.#origin !== undefined && this.#rehearsed === undefined;
    if (pending && this.#isRehearsal && this.direction.next < NUMBER_LIMIT) {
      this.#rehearsed = this.direction.reserve(this.#taken);
    }
    const state = this.direction.save();
    if (this.#taken === 0) this.#origin ??= nameOf(state);
    return state;
  }

  /** The next session, which starts with a saved state. */
  restore(direction: EncoderDirection, origin: string): EncoderSession {
    const again = origin === this.#origin && this.#isRehearsal;
    const numbers = this.#rehearsed?.left === this.#taken ? this.#rehearsed : undefined;
    if (!again || numbers === undefined) this.#rehearsed?.release();
    this.#numbers?.release();
    return again
      ? new EncoderSession(direction, origin, this.#taken, numbers)
      : new EncoderSession(direction, origin);
  }

  /** Discards the remaining numbers, and wipes their secrets. */
  release(): void {
    this.#numbers?.release();
    this.#rehearsed?.release();
  }

  get #isRehearsal(): boolean {
    return this.#onlyEmpty && this.#taken > 0 && this.#taken <= MAX_GROUP;
  }
}
