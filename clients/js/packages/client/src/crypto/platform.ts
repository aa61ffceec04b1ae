/** What the platform gives: WebCrypto and random bytes. */

import type { Bytes } from "@mte-relay/core";
import { MteRelayError } from "../errors.js";

/** The most that one call of getRandomValues fills. */
const MOST_RANDOM = 65_536;

/** WebCrypto's subtle half. */
export function subtle(): SubtleCrypto {
  const found = globalThis.crypto?.subtle;
  if (found === undefined) {
    const reason = "WebCrypto is missing; browsers have it only on pages of https:// and of localhost";
    throw new MteRelayError("setting", reason);
  }
  return found;
}

/** Fresh random bytes. */
export function randomBytes(length: number): Bytes {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += MOST_RANDOM) {
    globalThis.crypto.getRandomValues(bytes.subarray(at, at + MOST_RANDOM));
  }
  return bytes;
}

/** 128 random bits in hexadecimal: a name nobody else has. */
export function randomId(): string {
  return Array.from(randomBytes(16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
