/**
 * HKDF with SHA-256 (RFC 5869), with extract and expand separate: WebCrypto's own HKDF always does both, and the epochs
 * of docs/codec.md only expand. Secrets that are expanded more than once are kept in non-extractable keys.
 */

import { type Bytes, concat, wipe } from "@mte-relay/core";
import { subtle } from "./platform.js";

const HASH_SIZE = 32;

/** A non-extractable HMAC-SHA-256 key. The caller still owns `secret`. */
export function hmacKey(secret: Bytes): Promise<CryptoKey> {
  // WebCrypto does not accept an empty key. HMAC pads keys with zeros, so a zero byte is equivalent.
  const key = secret.length === 0 ? new Uint8Array(HASH_SIZE) : secret;
  return subtle().importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
}

/** HKDF-Extract. */
export async function extract(salt: Bytes, secret: Bytes): Promise<Bytes> {
  return hmac(await hmacKey(salt), secret);
}

/** HKDF-Expand, for up to two hash lengths. */
export async function expand(key: CryptoKey, info: Bytes, length: 32 | 64): Promise<Bytes> {
  const first = await hmac(key, concat(info, Uint8Array.of(1)));
  if (length === HASH_SIZE) return first;
  const second = await hmac(key, concat(first, info, Uint8Array.of(2)));
  const both = concat(first, second);
  wipe(first, second);
  return both;
}

/** HKDF-Extract, then HKDF-Expand to 32 bytes. */
export async function hkdf(secret: Bytes, salt: Bytes, info: Bytes): Promise<Bytes> {
  const prk = await extract(salt, secret);
  const key = await hmacKey(prk);
  wipe(prk);
  return expand(key, info, HASH_SIZE);
}

/** SHA-256. */
export async function sha256(data: Bytes): Promise<Bytes> {
  return new Uint8Array(await subtle().digest("SHA-256", data));
}

async function hmac(key: CryptoKey, data: Bytes): Promise<Bytes> {
  return new Uint8Array(await subtle().sign("HMAC", key, data));
}
