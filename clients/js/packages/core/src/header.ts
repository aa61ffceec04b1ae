/** The 26-byte header of a message (docs/codec.md, section 4). */

import { type Bytes, readU32, u32 } from "./bytes.js";
import { DecodeError } from "./errors.js";
import { type MessageType, MKE, MTE } from "./names.js";

export const HEADER_SIZE = 26;
export const SALT_SIZE = 16;
/** Numbers are below this limit (docs/codec.md, section 6). */
export const NUMBER_LIMIT = 2 ** 32;

/** A message's header. */
export interface MessageHeader {
  type: MessageType;
  place: number;
  /** The message's number in its direction. */
  number: number;
  /** All 26 bytes, an input of the message's keys. */
  bytes: Bytes;
}

/** Makes a header; `salt` is 16 random bytes. */
export function makeHeader(
  type: MessageType,
  place: number,
  number: number,
  salt: Uint8Array,
): MessageHeader {
  if (salt.length !== SALT_SIZE) throw new RangeError(`a header takes ${SALT_SIZE} random bytes`);
  const bytes = new Uint8Array(HEADER_SIZE);
  bytes[0] = type;
  bytes[1] = place;
  bytes.set(u32(Math.floor(number / NUMBER_LIMIT)), 2);
  bytes.set(u32(number % NUMBER_LIMIT), 6);
  bytes.set(salt, 10);
  return { type, place, number, bytes };
}

/** Reads the header at the start of `data` into a copy. Throws DecodeError. */
export function readHeader(data: Uint8Array): MessageHeader {
  if (data.length < HEADER_SIZE) throw new DecodeError("truncated", "shorter than a header");
  const bytes = data.slice(0, HEADER_SIZE) as Bytes;
  const type = bytes[0]!;
  if (type !== MKE && type !== MTE) throw new DecodeError("malformed", `no message type ${type}`);
  // Above 2^53 it is not exact, but the window refuses all of these numbers.
  const number = readU32(bytes, 2) * NUMBER_LIMIT + readU32(bytes, 6);
  return { type, place: bytes[1]!, number, bytes };
}
