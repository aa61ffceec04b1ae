/** Opening a message, whole or frame by frame as it comes (docs/codec.md, sections 4 to 6). */

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

/** What the receiver looks for. */
export interface Expected {
  type: MessageType;
  /** Whether the message may stand at this place. */
  fits(place: number): boolean;
  /** The number it must have, where that is known. */
  number?: number;
}

/** A frame that verified. */
export interface OpenedFrame {
  /** Plaintext; of an MTE message a piece of its token string. */
  data: Bytes;
  frame: SealedFrame;
}

/**
 * One incoming message, cut anywhere. It commits nothing: the caller does, once frame 0 has verified. After it threw,
 * it must not be used.
 */
export class Opener {
  #reader = new FrameReader();
  #keys: Promise<MessageKeys> | undefined;
  #reached: Reached | undefined;

  constructor(
    private readonly secrets: Secrets,
    private readonly expected: Expected,
  ) {}

  /** The header, once it is there; it is authentic only after frame 0 has verified. */
  get header(): MessageHeader | undefined {
    return this.#reader.header();
  }

  /** What to commit the number with. */
  get reached(): Reached | undefined {
    return this.#reached;
  }

  /** Takes bytes; they must not change afterwards. */
  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /** All frames that came since and are there as a whole, verified. Calls may overlap. Throws DecodeError. */
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

  /** Throws DecodeError if the message is not whole. */
  end(): void {
    this.#reader.end();
  }

  /** The plaintext of an MTE message's token string. Throws DecodeError. */
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

/** A whole message, opened and not committed. */
export interface OpenedMessage {
  header: MessageHeader;
  plaintext: Bytes;
  reached: Reached;
}

/** Opens a whole message; the caller commits its number. Throws DecodeError. */
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
