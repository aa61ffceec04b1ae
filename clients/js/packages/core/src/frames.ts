/**
 * Frames (docs/codec.md, section 4): their heads and nonces, the length of a message, and a reader that accepts a
 * message in chunks of any size. The reader only splits; nothing it returns has been verified.
 */

import { type Bytes, concat, own, readU32, u32 } from "./bytes.js";
import { DecodeError } from "./errors.js";
import { HEADER_SIZE, type MessageHeader, readHeader } from "./header.js";
import { type MessageType, MTE } from "./names.js";
import { tokensLength } from "./tokens.js";

export const HEAD_SIZE = 4;
export const TAG_SIZE = 16;
export const FRAME_OVERHEAD = HEAD_SIZE + TAG_SIZE;
export const MAX_FRAME = 65_536;
const FINAL = 0x80000000;

/** A frame's head: its length and whether it is the last. */
export function frameHead(length: number, final: boolean): Bytes {
  return u32(final ? (length | FINAL) >>> 0 : length);
}

/** The AEAD nonce of frame `index`. */
export function frameNonce(index: number): Bytes {
  return concat(u32(0), u32(Math.floor(index / 2 ** 32)), u32(index % 2 ** 32));
}

/** The size of a message with `length` bytes of plaintext, in frames of the maximum size. */
export function messageLength(type: MessageType, length: number): number {
  const inner = type === MTE ? tokensLength(length) : length;
  return HEADER_SIZE + inner + Math.max(1, Math.ceil(inner / MAX_FRAME)) * FRAME_OVERHEAD;
}

/** A frame as received, still sealed. */
export interface SealedFrame {
  index: number;
  final: boolean;
  head: Bytes;
  /** Ciphertext and tag. */
  sealed: Bytes;
}

/** Splits a message into its header and frames. It must not be used after it has thrown. */
export class FrameReader {
  #chunks: Uint8Array[] = [];
  #buffered = 0;
  #header: MessageHeader | undefined;
  #index = 0;
  #finished = false;

  /** Adds bytes, which must not change afterwards. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (this.#finished) throw new DecodeError("trailing", "bytes after the final frame");
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
  }

  /** The header, once it is complete. */
  header(): MessageHeader | undefined {
    if (this.#header === undefined && this.#buffered >= HEADER_SIZE) {
      this.#header = readHeader(this.#take(HEADER_SIZE));
    }
    return this.#header;
  }

  /** The next frame, if it is complete. */
  next(): SealedFrame | undefined {
    if (this.header() === undefined || this.#finished || this.#buffered < HEAD_SIZE) return undefined;
    const word = readU32(this.#peekHead());
    const final = word >= FINAL;
    const length = final ? word - FINAL : word;
    if (length > MAX_FRAME) throw new DecodeError("malformed", "a frame of more than 65,536 bytes");
    if (length === 0 && !final) throw new DecodeError("malformed", "an empty frame before the last");
    if (this.#buffered < HEAD_SIZE + length + TAG_SIZE) return undefined;
    const head = this.#take(HEAD_SIZE);
    const frame = { index: this.#index++, final, head, sealed: this.#take(length + TAG_SIZE) };
    if (final) {
      this.#finished = true;
      if (this.#buffered > 0) throw new DecodeError("trailing", "bytes after the final frame");
    }
    return frame;
  }

  /** Whether the final frame was returned. */
  get finished(): boolean {
    return this.#finished;
  }

  /** To be called at the end of the input: throws if the message is not complete. */
  end(): void {
    if (!this.#finished) throw new DecodeError("truncated", "no final frame");
  }

  #peekHead(): Bytes {
    const first = this.#chunks[0]!;
    if (first.length >= HEAD_SIZE) return own(first.subarray(0, HEAD_SIZE));
    const head = this.#take(HEAD_SIZE);
    this.#chunks.unshift(head);
    this.#buffered += HEAD_SIZE;
    return head;
  }

  /** The next `size` bytes, which must be available; copied only if they span chunks. */
  #take(size: number): Bytes {
    this.#buffered -= size;
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= size) {
      if (first.length === size) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(size);
      return own(first.subarray(0, size));
    }
    const out = new Uint8Array(size);
    let at = 0;
    while (at < size) {
      const chunk = this.#chunks[0]!;
      const piece = chunk.subarray(0, size - at);
      out.set(piece, at);
      at += piece.length;
      if (piece.length === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(piece.length);
    }
    return out;
  }
}
