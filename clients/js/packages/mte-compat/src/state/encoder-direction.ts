/**
 * The sending end of a direction. All encoders of the module share one instance per direction, the only one that
 * assigns numbers, so that no two messages get the same one.
 */

import { epochOf, NUMBER_LIMIT, wipe } from "@mte-relay/core";
import { laterEpoch } from "../codec/schedule.js";
import { ENCODER, type State, writeState } from "./blob.js";

/** A direction has no number left (docs/codec.md, section 6); the pair must be renewed. */
export class NumbersUsedUp extends Error {
  constructor() {
    super("the direction's numbers are used up");
    this.name = "NumbersUsedUp";
  }
}

export class EncoderDirection {
  readonly #id: Uint8Array;
  #next: number;
  /** Of the epoch of `#next`; older ones are gone. */
  #secret: Uint8Array;

  constructor(state: State) {
    this.#id = state.id;
    this.#next = state.next;
    this.#secret = state.secret.slice();
  }

  /** The next unassigned number. */
  get next(): number {
    return this.#next;
  }

  /** Assigns `count` consecutive numbers, fewer at the direction's end. Throws NumbersUsedUp. */
  reserve(count: number): Reservation {
    if (this.#next >= NUMBER_LIMIT) throw new NumbersUsedUp();
    const end = Math.min(this.#next + count, NUMBER_LIMIT);
    const reservation = new Reservation(this.#next, end, this.#secret.slice());
    this.#moveTo(end, this.#secret, epochOf(this.#next));
    return reservation;
  }

  /** A stored state is a lower bound: numbers below it were assigned, possibly by another process. */
  raise(state: State): void {
    if (state.next > this.#next) this.#moveTo(state.next, state.secret, epochOf(state.next));
  }

  save(): Uint8Array {
    return writeState(ENCODER, {
      id: this.#id,
      next: this.#next,
      bits: new Uint8Array(),
      secret: this.#secret,
    });
  }

  /** `secret` is that of `epoch`, which is not later than that of `next`. */
  #moveTo(next: number, secret: Uint8Array, epoch: number): void {
    const later = laterEpoch(secret, epochOf(next) - epoch);
    wipe(this.#secret);
    this.#secret = later;
    this.#next = next;
  }
}

/** Consecutive numbers that belong to one group of messages. */
export class Reservation {
  #next: number;
  readonly #end: number;
  /** Of the epoch of `#next`. */
  #secret: Uint8Array;

  constructor(first: number, end: number, secret: Uint8Array) {
    this.#next = first;
    this.#end = end;
    this.#secret = secret;
  }

  /** How many numbers are left. */
  get left(): number {
    return this.#end - this.#next;
  }

  /** The next one, with a copy of its epoch's secret; there must be one left. */
  take(): { number: number; epochSecret: Uint8Array } {
    const number = this.#next++;
    const epochSecret = this.#secret.slice();
    if (this.left === 0) this.release();
    else this.#advance(epochOf(this.#next) - epochOf(number));
    return { number, epochSecret };
  }

  /** Discards the remaining numbers: they are never used. */
  release(): void {
    this.#next = this.#end;
    wipe(this.#secret);
  }

  #advance(epochs: number): void {
    if (epochs === 0) return;
    const later = laterEpoch(this.#secret, epochs);
    wipe(this.#secret);
    this.#secret = later;
  }
}
