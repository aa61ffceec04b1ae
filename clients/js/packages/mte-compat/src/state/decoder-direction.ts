/**
 * The receiving end of a direction. All decoders of the module share one instance per direction, so that no message is
 * accepted twice, whichever saved state a decoder was restored from.
 */

import { epochOf, wipe } from "@mte-relay/core";
import { laterEpoch } from "../codec/schedule.js";
import { DECODER, type State, writeState } from "./blob.js";
import { StoredWindow } from "./window.js";

export class DecoderDirection {
  readonly #id: Uint8Array;
  readonly #window: StoredWindow;
  /** Of the oldest epoch that the window reaches; older ones are gone. */
  #secret: Uint8Array;

  constructor(state: State) {
    this.#id = state.id;
    this.#window = windowOf(state);
    this.#secret = state.secret.slice();
  }

  /** The highest number used, plus 1. */
  get next(): number {
    return this.#window.highest + 1;
  }

  /** Throws DecodeError if the number is refused. */
  check(number: number): void {
    this.#window.check(number);
  }

  /** Whether the number was used. */
  has(number: number): boolean {
    return this.#window.has(number);
  }

  /** A copy of the epoch's secret for a number that `check` accepts. Changes nothing. */
  epochSecret(number: number): Uint8Array {
    return laterEpoch(this.#secret, epochOf(number) - epochOf(this.#window.lowest));
  }

  /** Marks the number as used. Throws DecodeError. */
  commit(number: number): void {
    const oldest = epochOf(this.#window.lowest);
    this.#window.take(number);
    this.#keep(this.#secret, oldest);
  }

  /** A stored state is a lower bound: numbers used in it are not accepted again. */
  raise(state: State): void {
    const other = windowOf(state);
    const ahead = other.highest > this.#window.highest;
    const secret = ahead ? state.secret : this.#secret;
    const oldest = epochOf((ahead ? other : this.#window).lowest);
    this.#window.unite(other);
    this.#keep(secret, oldest);
  }

  save(): Uint8Array {
    return writeState(DECODER, {
      id: this.#id,
      next: this.next,
      bits: this.#window.bits,
      secret: this.#secret,
    });
  }

  /** Stores the secret of the oldest epoch in the window, derived from `secret`, that of `epoch`. */
  #keep(secret: Uint8Array, epoch: number): void {
    const steps = epochOf(this.#window.lowest) - epoch;
    if (steps === 0 && secret === this.#secret) return;
    const later = laterEpoch(secret, steps);
    wipe(this.#secret);
    this.#secret = later;
  }
}

function windowOf(state: State): StoredWindow {
  return new StoredWindow(state.next - 1, state.bits);
}
