/** The two ciphers: AES-256-GCM seals frames, ChaCha20 encrypts token strings (docs/codec.md, sections 4 and 5). */

import { concat, DecodeError, frameHead, frameNonce, type SealedFrame } from "@mte-relay/core";
import { gcm } from "@noble/ciphers/aes.js";
import { chacha20 } from "@noble/ciphers/chacha.js";

const TOKEN_NONCE = new Uint8Array(12);

/** Head, ciphertext and tag of frame `index`; `data` has at most 64 KiB. */
export function sealFrame(key: Uint8Array, index: number, data: Uint8Array, final: boolean): Uint8Array {
  const head = frameHead(data.length, final);
  return concat(head, gcm(key, frameNonce(index), head).encrypt(data));
}

/** The frame's plaintext. Throws DecodeError "not authentic". */
export function openFrame(key: Uint8Array, frame: SealedFrame): Uint8Array {
  try {
    return gcm(key, frameNonce(frame.index), frame.head).decrypt(frame.sealed);
  } catch {
    throw new DecodeError("not authentic", `frame ${frame.index}`);
  }
}

/** XOR with the keystream of T_n: encrypts and decrypts a token string. */
export function xorTokens(key: Uint8Array, tokens: Uint8Array): Uint8Array {
  return chacha20(key, TOKEN_NONCE, tokens);
}
