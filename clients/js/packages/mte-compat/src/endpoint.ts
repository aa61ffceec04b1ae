/** What encoders and decoders have in common: creating a session from secrets or a saved state, and saving it. */

import { ENTROPY_SIZE, toBase64, wipe } from "@mte-relay/core";
import { MteBase } from "./base.js";
import { directionId, rootSecret } from "./codec/schedule.js";
import { Failure, statusOf } from "./failure.js";
import { base64Of, bytesOf, nonceOf, textOf } from "./input.js";
import { DECODER, readState, type Side, type State } from "./state/blob.js";
import { BITS_SIZE } from "./state/window.js";
import { MteStatus } from "./status.js";

/** The state of an endpoint from one `instantiate` or `restoreState` to the next. */
interface Session {
  readonly direction: { readonly next: number };
}

export abstract class MteEndpoint extends MteBase {
  /** @internal Which states it saves and restores. */
  protected abstract readonly side: Side;
  /** @internal */
  protected abstract readonly session: Session | undefined;
  #entropy: Uint8Array | undefined;
  #nonce: string | undefined;
  #destructed = false;

  /** Sets the 32 bytes from a KEM (`MteKyber`), and zeroes the array passed in. */
  setEntropyArr(entropy: Uint8Array): void {
    this.#setEntropy(() => {
      const given = bytesOf(entropy);
      const own = given.slice();
      wipe(given);
      return own;
    });
  }

  /** Sets a text with 32 bytes of UTF-8. */
  setEntropyStr(entropy: string): void {
    this.#setEntropy(() => textOf(entropy));
  }

  /** Sets base64 of 32 bytes. */
  setEntropyB64(entropy: string): void {
    this.#setEntropy(() => base64Of(entropy));
  }

  /** A number from 0 to 2^64 - 1: its decimal text, or as `bigint`, or as `number` up to 2^53 - 1. */
  setNonce(nonce: string | number | bigint): void {
    this.#nonce = nonceOf(nonce);
  }

  /**
   * Starts with the entropy and nonce that were set, which are then wiped, and a personalization string. A direction
   * that is already known continues where it is.
   */
  instantiate(personalization = ""): MteStatus {
    return this.#attempt(() => {
      const entropy = this.#takeEntropy();
      try {
        const inputs = { entropy, nonce: this.#takeNonce(), personalization: String(personalization) };
        const root = rootOf(inputs);
        const bits = new Uint8Array(this.side === DECODER ? BITS_SIZE : 0);
        this.begin({ id: directionId(root), next: 0, bits, secret: root }, undefined);
        wipe(root);
      } finally {
        wipe(entropy);
      }
    });
  }

  /** The state as bytes; `null` if neither `instantiate` nor `restoreState` succeeded before. */
  saveState(): Uint8Array | null {
    return this.session === undefined ? null : this.save();
  }

  /** The state as base64. */
  saveStateB64(): string | null {
    const state = this.saveState();
    return state === null ? null : toBase64(state);
  }

  /** Starts with a saved state of either encode type. Numbers that were used since then stay used. */
  restoreState(state: Uint8Array): MteStatus {
    return this.#attempt(() => this.#restore(stateBytes(() => bytesOf(state))));
  }

  restoreStateB64(state: string): MteStatus {
    return this.#attempt(() => this.#restore(stateBytes(() => base64Of(state))));
  }

  /** Drops the pair and its secrets; call `instantiate` or `restoreState` to start again. */
  uninstantiate(): MteStatus {
    this.end();
    if (this.#entropy) wipe(this.#entropy);
    this.#entropy = undefined;
    this.#nonce = undefined;
    return MteStatus.mte_status_success;
  }

  /** `uninstantiate`, permanently. */
  destruct(): void {
    this.uninstantiate();
    this.#destructed = true;
  }

  override getReseedCounter(): number {
    return this.session?.direction.next ?? 0;
  }

  /** @internal Starts a session from a state. `origin`: the name of the saved state, if it was saved. */
  protected abstract begin(state: State, origin: string | undefined): void;
  /** @internal The session's state. */
  protected abstract save(): Uint8Array;
  /** @internal Ends the session. */
  protected abstract end(): void;

  #attempt(action: () => void): MteStatus {
    try {
      if (this.#destructed) throw new Failure(MteStatus.mte_status_unsupported);
      action();
      return MteStatus.mte_status_success;
    } catch (error) {
      return statusOf(error);
    }
  }

  #restore(bytes: Uint8Array): void {
    const state = readState(this.side, bytes);
    if (state === undefined) throw new Failure(MteStatus.mte_status_state_invalid);
    this.begin(state, stateName(bytes));
    wipe(state.secret);
  }

  #setEntropy(read: () => Uint8Array): void {
    if (this.#entropy) wipe(this.#entropy);
    try {
      this.#entropy = read();
    } catch {
      this.#entropy = undefined;
    }
  }

  #takeEntropy(): Uint8Array {
    const entropy = this.#entropy;
    this.#entropy = undefined;
    if (entropy === undefined) throw new Failure(MteStatus.mte_status_drbg_catastrophic);
    if (entropy.length === ENTROPY_SIZE) return entropy;
    wipe(entropy);
    const tooShort = entropy.length < ENTROPY_SIZE;
    throw new Failure(
      tooShort ? MteStatus.mte_status_entropy_too_short : MteStatus.mte_status_entropy_too_long,
    );
  }

  #takeNonce(): string {
    const nonce = this.#nonce;
    this.#nonce = undefined;
    if (nonce === undefined) throw new Failure(MteStatus.mte_status_nonce_invalid);
    return nonce;
  }
}

/** Identifies a saved state without its secrets: the checksum at its end. */
export function stateName(state: Uint8Array): string {
  return toBase64(state.subarray(-8));
}

function rootOf(inputs: Parameters<typeof rootSecret>[0]): Uint8Array {
  try {
    return rootSecret(inputs);
  } catch (error) {
    if (error instanceof RangeError) throw new Failure(MteStatus.mte_status_personalization_too_long);
    throw error;
  }
}

function stateBytes(read: () => Uint8Array): Uint8Array {
  try {
    return read();
  } catch {
    throw new Failure(MteStatus.mte_status_state_invalid);
  }
}
