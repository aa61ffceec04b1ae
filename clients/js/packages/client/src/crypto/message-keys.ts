/** The keys of one message: the AEAD key for its frames, and for MTE the token cipher key (docs/codec.md, 4 and 5). */

import {
  type Bytes,
  DecodeError,
  frameNonce,
  type MessageHeader,
  messageInfo,
  messageKeysSize,
  wipe,
} from "@mte-relay/core";
import { chacha20 } from "@noble/ciphers/chacha.js";
import { expand } from "./hkdf.js";
import { subtle } from "./platform.js";

const AEAD = "AES-GCM";
const KEY_SIZE = 32;

/** Seals and opens the frames of one message. */
export class MessageKeys {
  private constructor(
    private readonly aead: CryptoKey,
    private readonly tokenKey: Bytes,
  ) {}

  /** Derives the keys of a message from the secret of its epoch. */
  static async derive(epoch: CryptoKey, header: MessageHeader): Promise<MessageKeys> {
    const keys = await expand(epoch, messageInfo(header), messageKeysSize(header.type));
    const aead = await subtle().importKey("raw", keys.subarray(0, KEY_SIZE), AEAD, false, [
      "encrypt",
      "decrypt",
    ]);
    const tokenKey = keys.slice(KEY_SIZE);
    wipe(keys);
    return new MessageKeys(aead, tokenKey);
  }

  /** Ciphertext and tag of frame `index`. */
  async seal(index: number, head: Bytes, data: Bytes): Promise<Bytes> {
    return new Uint8Array(await subtle().encrypt(parameters(index, head), this.aead, data));
  }

  /** The plaintext of frame `index`. Throws DecodeError if it does not verify. */
  async open(index: number, head: Bytes, sealed: Bytes): Promise<Bytes> {
    try {
      return new Uint8Array(await subtle().decrypt(parameters(index, head), this.aead, sealed));
    } catch (cause) {
      // Whatever error the platform reports, a frame that does not open is not authentic.
      throw Object.assign(new DecodeError("not authentic", `frame ${index} does not verify`), { cause });
    }
  }

  /** Encrypts or decrypts a token string. Can be used once: it wipes the key. */
  xorTokens(tokens: Bytes): Bytes {
    const out = chacha20(this.tokenKey, new Uint8Array(12), tokens);
    wipe(this.tokenKey);
    return out as Bytes;
  }
}

function parameters(index: number, head: Bytes): AesGcmParams {
  return { name: AEAD, iv: frameNonce(index), additionalData: head, tagLength: 128 };
}
