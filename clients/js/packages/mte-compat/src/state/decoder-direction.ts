/**
 * The receiving end of a direction, of which there is one for the whole module however many decoders use it: no
 * message is taken twice, whichever saved state a decoder was restored from.
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

  /** The highest number taken, plus 1. */
  get next(): number {
    return this.#window.highest + 1;
  }

  /** Throws DecodeError if the number may not be taken. */
  check(number: number): void {
    this.#window.check(number);
  }

  /** Whether the number was taken. */
  has(number: number): boolean {
    return this.#window.has(number);
  }

  /** The secret of the epoch of a number that `check` lets pass; a copy. Changes nothing. */
  epochSecret(number: number): Uint8Array {
    return laterEpoch(this.#secret, epochOf(number) - epochOf(this.#window.lowest));
  }

  /** Takes the number. Throws DecodeError. */
  commit(number: number): void {
    const oldest = epochOf(this.#window.lowest);
    this.#window.take(number);
    this.#keep(this.#secret, oldest);
  }

  /** A stored state is a floor: what it has taken is not taken again. */
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

  /** Keeps the secret of the oldest epoch in reach, which `secret`, that of `epoch`, leads to. */
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
