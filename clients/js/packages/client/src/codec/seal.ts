/** Sealing a message, as a whole or frame by frame (docs/codec.md, sections 4 and 5). */

import {
  type Bytes,
  concat,
  frameHead,
  MAX_FRAME,
  type MessageHeader,
  type MessageType,
  MTE,
  makeHeader,
  makeTokens,
  paddedLength,
  SALT_SIZE,
  wipe,
} from "@mte-relay/core";
import { MessageKeys } from "../crypto/message-keys.js";
import { randomBytes } from "../crypto/platform.js";
import type { Slot } from "./encoder.js";
import type { EpochKey } from "./schedule.js";

/** Frames that are sealed concurrently. */
const AT_ONCE = 8;

/** One outgoing message: its header, then its frames in order, the last one final. */
export class Sealer {
  #index = 0;

  private constructor(
    readonly header: MessageHeader,
    private readonly keys: MessageKeys,
  ) {}

  /** A message with a fresh header. */
  static async begin(slot: Slot, type: MessageType, place: number): Promise<Sealer> {
    return Sealer.with(await slot.epoch, makeHeader(type, place, slot.number, randomBytes(SALT_SIZE)));
  }

  /** A message with a given header, for test vectors. A header must never be used twice. */
  static async with(epoch: EpochKey, header: MessageHeader): Promise<Sealer> {
    return new Sealer(header, await MessageKeys.derive(epoch, header));
  }

  /** The next frame. Calls may overlap: frames come in the order of the calls. */
  async frame(data: Bytes, final: boolean): Promise<Bytes> {
    const index = this.#index++;
    const head = frameHead(data.length, final);
    return concat(head, await this.keys.seal(index, head, data));
  }

  /** The token string of an MTE message. */
  tokens(plaintext: Uint8Array, filler?: Uint8Array): Bytes {
    const plain = makeTokens(plaintext, filler ?? randomBytes(paddedLength(plaintext.length)));
    const tokens = this.keys.xorTokens(plain);
    wipe(plain);
    return tokens;
  }

  /** The whole message. `frameSizes`: the size of each frame, for test vectors. */
  async whole(plaintext: Bytes, filler?: Uint8Array, frameSizes?: readonly number[]): Promise<Bytes> {
    const data = this.header.type === MTE ? this.tokens(plaintext, filler) : plaintext;
    const sizes = frameSizes ?? evenSizes(data.length);
    const parts: Bytes[] = [this.header.bytes];
    let at = 0;
    for (let first = 0; first < sizes.length; first += AT_ONCE) {
      const frames = sizes.slice(first, first + AT_ONCE).map((size, offset) => {
        const piece = data.subarray(at, at + size);
        at += size;
        return this.frame(piece, first + offset + 1 === sizes.length);
      });
      parts.push(...(await Promise.all(frames)));
    }
    return concat(...parts);
  }
}

/** Seals a whole message. */
export async function sealMessage(
  slot: Slot,
  type: MessageType,
  place: number,
  plaintext: Bytes,
): Promise<Bytes> {
  return (await Sealer.begin(slot, type, place)).whole(plaintext);
}

/** Full frames and the remainder; an empty message is one empty final frame. */
function evenSizes(length: number): number[] {
  const count = Math.max(1, Math.ceil(length / MAX_FRAME));
  return Array.from({ length: count }, (_, index) => Math.min(MAX_FRAME, length - index * MAX_FRAME));
}
