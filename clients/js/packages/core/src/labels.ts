/** The inputs of each key derivation other than its secret (docs/codec.md, sections 2 to 4). */

import { type Bytes, concat, u16, utf8 } from "./bytes.js";
import type { MessageHeader } from "./header.js";
import { type MessageType, MTE } from "./names.js";

export const ENTROPY_SIZE = 32;

/** HKDF's salt for entropy. */
export function kemSalt(): Bytes {
  return utf8("mte-open/1 kem");
}

/** HKDF's info for entropy, from the SHA-256 of the encapsulation key and of the ciphertext. */
export function kemInfo(kemId: number, keyHash: Uint8Array, ciphertextHash: Uint8Array): Bytes {
  return concat(u16(kemId), keyHash, ciphertextHash);
}

/** HKDF's info for a direction's root. */
export function rootInfo(personalization: string, context: Uint8Array = new Uint8Array()): Bytes {
  const text = utf8(personalization);
  if (text.length > 0xffff || context.length > 0xffff) {
    throw new RangeError("a personalization string or context has at most 65,535 bytes");
  }
  return concat(utf8("mte-open/1 root"), u16(text.length), text, u16(context.length), context);
}

/** HKDF-Expand's info for the next epoch's secret. */
export function epochInfo(): Bytes {
  return utf8("mte-open/1 epoch");
}

/** HKDF-Expand's info for a message's keys. */
export function messageInfo(header: MessageHeader): Bytes {
  return concat(utf8("mte-open/1 message"), header.bytes);
}

/** How many bytes of keys a message has: K_n, for MTE followed by T_n. */
export function messageKeysSize(type: MessageType): 32 | 64 {
  return type === MTE ? 64 : 32;
}
