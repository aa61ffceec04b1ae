/** Opening a message, as a whole or frame by frame as it arrives (docs/codec.md, sections 4 to 6). */

import {
  type Bytes,
  concat,
  DecodeError,
  FrameReader,
  type MessageHeader,
  type MessageType,
  MTE,
  readTokens,
  type SealedFrame,
  wipe,
} from "@mte-relay/core";
import { MessageKeys } from "../crypto/message-keys.js";
import type { Reached, Secrets } from "./decoder.js";

/** What the receiver expects. */
export interface Expected {
  type: MessageType;
  /** Whether the message may have this place byte. */
  fits(place: number): boolean;
  /** The number it must have, if that is known. */
  number?: number;
}

/** A frame that verified. */
export interface OpenedFrame {
  /** Plaintext; for an MTE message, a piece of its token string. */
  data: Bytes;
  frame: SealedFrame;
}

/**
 * One incoming message, in chunks of any size. It commits nothing: the caller does that once frame 0 has verified. It
 * must not be used after it has thrown.
 */
export class Opener {
  #reader = new FrameReader();
  #keys: Promise<MessageKeys> | undefined;
  #reached: Reached | undefined;

  constructor(
    private readonly secrets: Secrets,
    private readonly expected: Expected,
  ) {}

  /** The header, once it has arrived; it is authentic only after frame 0 has verified. */
  get header(): MessageHeader | undefined {
    return this.#reader.header();
  }

  /** The argument for committing the number. */
  get reached(): Reached | undefined {
    return this.#reached;
  }

  /** Adds bytes, which must not change afterwards. */
  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /** The frames completed since the last call, verified. Calls may overlap. Throws DecodeError. */
  async frames(): Promise<OpenedFrame[]> {
    const header = this.#reader.header();
    if (header === undefined) return [];
    this.#keys ??= this.#begin(header);
    const keys = await this.#keys;
    const sealed: SealedFrame[] = [];
    for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next())
      sealed.push(frame);
    const open = async (frame: SealedFrame) => ({
      data: await keys.open(frame.index, frame.head, frame.sealed),
      frame,
    });
    return Promise.all(sealed.map(open));
  }

  /** Throws DecodeError if the message is not complete. */
  end(): void {
    this.#reader.end();
  }

  /** The plaintext of an MTE message, from its token string. Throws DecodeError. */
  async untoken(tokens: Bytes): Promise<Bytes> {
    const padded = (await this.#keys!).xorTokens(tokens);
    const plaintext = readTokens(padded);
    wipe(padded);
    return plaintext;
  }

  async #begin(header: MessageHeader): Promise<MessageKeys> {
    const { type, fits, number } = this.expected;
    if (header.type !== type) throw new DecodeError("out of place", "not the expected encode type");
    if (!fits(header.place)) throw new DecodeError("out of place", `place 0x${header.place.toString(16)}`);
    if (number !== undefined && header.number !== number) {
      throw new DecodeError("not consecutive", `number ${header.number}, expected ${number}`);
    }
    this.#reached = await this.secrets.reach(header.number);
    return MessageKeys.derive(this.#reached.key, header);
  }
}

/** A complete message, opened but not committed. */
export interface OpenedMessage {
  header: MessageHeader;
  plaintext: Bytes;
  reached: Reached;
}

/** Opens a complete message; the caller commits its number. Throws DecodeError. */
export async function openMessage(
  secrets: Secrets,
  expected: Expected,
  message: Uint8Array,
): Promise<OpenedMessage> {
  const opener = new Opener(secrets, expected);
  opener.push(message);
  const frames = await opener.frames();
  opener.end();
  const data = concat(...frames.map((frame) => frame.data));
  const plaintext = expected.type === MTE ? await opener.untoken(data) : data;
  return { header: opener.header!, plaintext, reached: opener.reached! };
}
