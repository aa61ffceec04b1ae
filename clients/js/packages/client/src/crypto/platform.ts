/** What the platform provides: WebCrypto and random bytes. */

import type { Bytes } from "@mte-relay/core";
import { MteRelayError } from "../errors.js";

/** The most bytes that one call of getRandomValues fills. */
const MAX_RANDOM = 65_536;

/** WebCrypto's SubtleCrypto. */
export function subtle(): SubtleCrypto {
  const found = globalThis.crypto?.subtle;
  if (found === undefined) {
    const reason = "WebCrypto is missing; browsers provide it only on https:// pages and on localhost";
    throw new MteRelayError("setting", reason);
  }
  return found;
}

/** Fresh random bytes. */
export function randomBytes(length: number): Bytes {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += MAX_RANDOM) {
    globalThis.crypto.getRandomValues(bytes.subarray(at, at + MAX_RANDOM));
  }
  return bytes;
}

/** 128 random bits in hexadecimal: a unique name. */
export function randomId(): string {
  return Array.from(randomBytes(16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
