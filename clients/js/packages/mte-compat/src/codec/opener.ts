/** Opens one message, as a whole or in chunks of any size (docs/codec.md, sections 4 to 6). */

import { concat, FrameReader, type MessageHeader, MTE, readTokens, wipe } from "@mte-relay/core";
import { openFrame, xorTokens } from "./ciphers.js";
import { type MessageKeys, messageKeys } from "./schedule.js";

/** Decides whether a message may be opened, and records that it was. */
export interface Taker {
  /** Throws DecodeError if a message with this header is not acceptable now. */
  check(header: MessageHeader): void;
  /** The secret of the number's epoch, a copy: the opener wipes it. Changes nothing. */
  epochSecret(number: number): Uint8Array;
  /** Called once, when frame 0 has verified. */
  commit(header: MessageHeader): void;
}

export class Opener {
  readonly #taker: Taker;
  readonly #reader = new FrameReader();
  #header: MessageHeader | undefined;
  #keys: MessageKeys | undefined;
  #tokens: Uint8Array[] = [];

  constructor(taker: Taker) {
    this.#taker = taker;
  }

  /**
   * Adds bytes, which must not change afterwards, and returns the plaintext of the frames that they complete. MTE
   * returns nothing before `finish`. After a DecodeError, the message is lost.
   */
  push(chunk: Uint8Array): Uint8Array {
    this.#reader.push(chunk);
    const keys = this.#keys ?? this.#start();
    if (keys === undefined) return new Uint8Array();
    const opened: Uint8Array[] = [];
    for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
      const data = openFrame(keys.frames, frame);
      if (frame.index === 0) this.#taker.commit(this.#header!);
      (this.#header!.type === MTE ? this.#tokens : opened).push(data);
    }
    return concat(...opened);
  }

  /** To be called at the end of input. Returns the plaintext for MTE, nothing for MKE. Throws DecodeError. */
  finish(): Uint8Array {
    this.#reader.end();
    if (this.#header?.type !== MTE) return new Uint8Array();
    const bare = xorTokens(this.#keys!.tokens, concat(...this.#tokens));
    try {
      return readTokens(bare);
    } finally {
      wipe(bare);
    }
  }

  /** Wipes the keys. */
  close(): void {
    if (this.#keys) wipe(this.#keys.frames, this.#keys.tokens);
  }

  #start(): MessageKeys | undefined {
    const header = this.#reader.header();
    if (header === undefined) return undefined;
    this.#taker.check(header);
    const secret = this.#taker.epochSecret(header.number);
    this.#header = header;
    this.#keys = messageKeys(secret, header);
    wipe(secret);
    return this.#keys;
  }
}

/** Opens a whole message. Throws DecodeError. */
export function openWhole(taker: Taker, message: Uint8Array): Uint8Array {
  const opener = new Opener(taker);
  try {
    const opened = opener.push(message);
    const rest = opener.finish();
    return rest.length > 0 ? rest : opened;
  } finally {
    opener.close();
  }
}
