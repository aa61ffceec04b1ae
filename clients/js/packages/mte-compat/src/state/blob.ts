/**
 * The byte format of saved states:
 *
 *     "MTEs" || u8 version = 1 || u8 side || 16 bytes: the direction's identifier || fields of the side || check
 *     side 1, encoder:  u64 next number || 32 bytes: secret of its epoch                            (70 bytes in all)
 *     side 2, decoder:  u64 highest number + 1 || 64 bytes: the window's bits
 *                    || 32 bytes: secret of the oldest epoch that the window reaches               (134 bytes in all)
 *     check             the first 8 bytes of the SHA-256 of everything before it
 *
 * The check detects corruption, not tampering: anyone who can write a state has the keys in it anyway. A state has no
 * encode type, so MTE and MKE classes share it, and no root, so it opens nothing older than codec.md allows.
 */

import { concat, ENTROPY_SIZE, NUMBER_LIMIT, readU32, u32, utf8 } from "@mte-relay/core";
import { sha256 } from "@noble/hashes/sha2.js";
import { ID_SIZE } from "../codec/schedule.js";
import { BITS_SIZE } from "./window.js";

const MAGIC = utf8("MTEs");
const VERSION = 1;
const CHECK_SIZE = 8;

/** Which end of a direction a state belongs to. */
export const ENCODER = 1;
export const DECODER = 2;
export type Side = typeof ENCODER | typeof DECODER;

/** The contents of a state. */
export interface State {
  readonly id: Uint8Array;
  /** The next number (encoder); the highest number used, plus 1 (decoder). */
  readonly next: number;
  /** The window's bits (decoder); empty (encoder). */
  readonly bits: Uint8Array;
  /** The secret of the oldest epoch that is still needed. */
  readonly secret: Uint8Array;
}

function bitsSize(side: Side): number {
  return side === DECODER ? BITS_SIZE : 0;
}

function check(bytes: Uint8Array): Uint8Array {
  return sha256(bytes).subarray(0, CHECK_SIZE);
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

/** Writes a state. */
export function writeState(side: Side, state: State): Uint8Array {
  const next = concat(u32(Math.floor(state.next / NUMBER_LIMIT)), u32(state.next % NUMBER_LIMIT));
  const body = concat(MAGIC, Uint8Array.of(VERSION, side), state.id, next, state.bits, state.secret);
  return concat(body, check(body));
}

/** Reads a state; undefined if it is corrupt, of another side or version, or not a state. */
export function readState(side: Side, bytes: Uint8Array): State | undefined {
  const start = concat(MAGIC, Uint8Array.of(VERSION, side));
  const bodySize = start.length + ID_SIZE + 8 + bitsSize(side) + ENTROPY_SIZE;
  if (bytes.length !== bodySize + CHECK_SIZE || !isEqual(bytes.subarray(0, start.length), start)) {
    return undefined;
  }
  if (!isEqual(check(bytes.subarray(0, bodySize)), bytes.subarray(bodySize))) return undefined;
  let at = start.length;
  const take = (size: number) => {
    at += size;
    return bytes.slice(at - size, at);
  };
  const id = take(ID_SIZE);
  const next = take(8);
  const number = readU32(next) * NUMBER_LIMIT + readU32(next, 4);
  if (number > NUMBER_LIMIT) return undefined;
  return { id, next: number, bits: take(bitsSize(side)), secret: take(ENTROPY_SIZE) };
}
