/** The text form of messages (docs/codec.md, section 7): strict base64, and its encoding as a path segment. */

import type { Bytes } from "./bytes.js";
import { DecodeError } from "./errors.js";

const SHAPE = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** On some platforms, calls with more arguments overflow the stack. */
const PIECE = 8192;

/** Standard base64 with padding. */
export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (let at = 0; at < bytes.length; at += PIECE) {
    binary += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  }
  return btoa(binary);
}

/** Decodes strictly: only the base64 alphabet, exact padding, no unused bits set. Throws DecodeError. */
export function fromBase64(text: string): Bytes {
  if (!SHAPE.test(text)) throw new DecodeError("malformed", "not base64");
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  // Only the last group can have unused bits.
  const tail = binary.length - (binary.length % 3 || 3);
  if (tail >= 0 && toBase64(bytes.subarray(tail)) !== text.slice(-4)) {
    throw new DecodeError("malformed", "base64 with nonzero unused bits");
  }
  return bytes;
}

/** A message as one path segment. */
export function toPathSegment(message: Uint8Array): string {
  return encodeURIComponent(toBase64(message));
}
