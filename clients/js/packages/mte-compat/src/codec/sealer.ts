/** Seals one message, as a whole or frame by frame (docs/codec.md, sections 4 and 5). */

import {
  concat,
  MAX_FRAME,
  type MessageType,
  MTE,
  makeHeader,
  makeTokens,
  paddedLength,
  SALT_SIZE,
  wipe,
} from "@mte-relay/core";
import { sealFrame, xorTokens } from "./ciphers.js";
import { type Random, secureRandom } from "./random.js";
import { type MessageKeys, messageKeys } from "./schedule.js";

/** A number reserved for one message, with its place and secret. */
export interface Slot {
  readonly number: number;
  /** The header's place byte. */
  readonly place: number;
  /** The secret of the number's epoch, a copy: the sealer wipes it. */
  readonly epochSecret: Uint8Array;
}

export class Sealer {
  /** The message's first 26 bytes. */
  readonly header: Uint8Array;
  readonly #type: MessageType;
  readonly #keys: MessageKeys;
  readonly #random: Random;
  #frames = 0;

  constructor(type: MessageType, slot: Slot, random: Random = secureRandom) {
    const header = makeHeader(type, slot.place, slot.number, random(SALT_SIZE));
    this.header = header.bytes;
    this.#type = type;
    this.#keys = messageKeys(slot.epochSecret, header);
    this.#random = random;
    wipe(slot.epochSecret);
  }

  /** The next frame. The final one wipes the keys; nothing can be sealed after it. */
  frame(data: Uint8Array, final: boolean): Uint8Array {
    const sealed = sealFrame(this.#keys.frames, this.#frames++, data, final);
    if (final) this.close();
    return sealed;
  }

  /** Non-final frames of at most 64 KiB each; no bytes if there is no data. */
  frames(data: Uint8Array): Uint8Array {
    const sealed: Uint8Array[] = [];
    for (let at = 0; at < data.length; at += MAX_FRAME) {
      sealed.push(this.frame(data.subarray(at, at + MAX_FRAME), false));
    }
    return concat(...sealed);
  }

  /** The whole message. `sizes`: the size of each frame; by default they are as long as possible. */
  whole(plaintext: Uint8Array, sizes?: readonly number[]): Uint8Array {
    const data = this.#type === MTE ? this.#tokens(plaintext) : plaintext;
    const frames = sizes ?? longestFrames(data.length);
    const parts = [this.header];
    let at = 0;
    for (const [index, size] of frames.entries()) {
      parts.push(this.frame(data.subarray(at, at + size), index === frames.length - 1));
      at += size;
    }
    return concat(...parts);
  }

  /** Wipes the keys. */
  close(): void {
    wipe(this.#keys.frames, this.#keys.tokens);
  }

  #tokens(plaintext: Uint8Array): Uint8Array {
    const bare = makeTokens(plaintext, this.#random(paddedLength(plaintext.length)));
    const tokens = xorTokens(this.#keys.tokens, bare);
    wipe(bare);
    return tokens;
  }
}

function longestFrames(total: number): number[] {
  const sizes = new Array<number>(Math.max(1, Math.ceil(total / MAX_FRAME))).fill(MAX_FRAME);
  sizes[sizes.length - 1] = total - (sizes.length - 1) * MAX_FRAME;
  return sizes;
}
