/**
 * MTE's token string before encryption (docs/codec.md, section 5): padding, and a random filler byte after every byte.
 * Callers XOR the result with ChaCha20's keystream.
 */

import { type Bytes, readU32, u32 } from "./bytes.js";
import { DecodeError } from "./errors.js";

const BLOCK = 64;
const LENGTH_SIZE = 4;

/** The padded length of a plaintext of `length`, which is also the number of filler bytes. */
export function paddedLength(length: number): number {
  return Math.ceil((LENGTH_SIZE + length) / BLOCK) * BLOCK;
}

/** The size of the token string of a plaintext of `length`. */
export function tokensLength(length: number): number {
  return 2 * paddedLength(length);
}

/** The token string before encryption. */
export function makeTokens(plaintext: Uint8Array, filler: Uint8Array): Bytes {
  const padded = paddedLength(plaintext.length);
  if (filler.length !== padded)
    throw new RangeError(`${padded} filler bytes are needed, not ${filler.length}`);
  const tokens = new Uint8Array(2 * padded);
  const length = u32(plaintext.length);
  for (let at = 0; at < LENGTH_SIZE; at++) tokens[2 * at] = length[at]!;
  for (let at = 0; at < plaintext.length; at++) tokens[2 * (LENGTH_SIZE + at)] = plaintext[at]!;
  for (let at = 0; at < padded; at++) tokens[2 * at + 1] = filler[at]!;
  return tokens;
}

/** The plaintext of a decrypted token string. Throws DecodeError. */
export function readTokens(tokens: Uint8Array): Bytes {
  if (tokens.length === 0 || tokens.length % (2 * BLOCK) !== 0) {
    throw new DecodeError("malformed", "the length of the token string is not a multiple of 128 bytes");
  }
  const padded = new Uint8Array(tokens.length / 2);
  for (let at = 0; at < padded.length; at++) padded[at] = tokens[2 * at]!;
  const length = readU32(padded);
  if (paddedLength(length) !== padded.length)
    throw new DecodeError("malformed", "the padding has the wrong length");
  const end = LENGTH_SIZE + length;
  let stray = 0;
  for (let at = end; at < padded.length; at++) stray |= padded[at]!;
  if (stray !== 0) throw new DecodeError("malformed", "the padding is not all zeros");
  return padded.slice(LENGTH_SIZE, end);
}
