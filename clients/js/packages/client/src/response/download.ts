/**
 * Downloading a response's body: each frame's plaintext as soon as its tag has verified, with backpressure. The stream
 * ends without an error only if the message's final frame verified.
 */

import {
  type Bytes,
  concat,
  DecodeError,
  type EncodeType,
  MTE,
  messageLength,
  messageType,
  place,
} from "@mte-relay/core";
import { type OpenedFrame, Opener } from "../codec/open.js";
import { doesNotOpen, type MteRelayError, refused } from "../errors.js";
import type { Progress } from "../options.js";
import type { AnnouncedBody } from "./head.js";

/** What is known about the body, and the callbacks for it. */
export interface DownloadPlan {
  /** The body that the sealed headers announce; undefined for none, which is checked. */
  body: AnnouncedBody | undefined;
  encodeType: EncodeType;
  maxMteBody: number;
  chunk?: ((plain: Uint8Array, wire: Uint8Array, last: boolean) => void) | undefined;
  progress?: ((progress: Progress) => void) | undefined;
  failed?: ((error: unknown) => void) | undefined;
}

/** Bytes on the wire that are read ahead and opened. */
const READ_AHEAD = 512 << 10;

/** The plaintext of `wire`. */
export function openBody(wire: ReadableStream<Uint8Array>, plan: DownloadPlan): ReadableStream<Bytes> {
  const download = new Download(wire.getReader(), plan);
  return new ReadableStream<Bytes>(
    {
      async pull(controller) {
        try {
          const pieces = await download.next();
          if (pieces === undefined) controller.close();
          else for (const piece of pieces) controller.enqueue(piece);
        } catch (error) {
          plan.failed?.(error);
          download.close(error);
          controller.error(error);
        }
      },
      cancel: (reason) => download.close(reason),
    },
    { highWaterMark: 0 },
  );
}

/** The result of one read: frames that are being opened, or the end. */
type Read = Promise<OpenedFrame[]> | "end";

class Download {
  readonly #opener: Opener | undefined;
  /** What was read ahead, in order. */
  #ahead: { read: Read; length: number }[] = [];
  #aheadLength = 0;
  #reading: Promise<void> | undefined;
  /** Nothing more will be read. */
  #ended = false;
  #received = 0;
  /** For an MTE body, the token string opened so far. */
  #tokens: Bytes[] = [];
  #opened = 0;

  constructor(
    private readonly reader: ReadableStreamDefaultReader<Uint8Array>,
    private readonly plan: DownloadPlan,
  ) {
    const { body, encodeType } = plan;
    if (body === undefined) return;
    const secrets = { reach: async () => body.reached };
    const expected = { type: messageType(encodeType), fits: isBodysPlace, number: body.number };
    this.#opener = new Opener(secrets, expected);
  }

  /** The next chunks of plaintext, at least one; undefined at the end. */
  async next(): Promise<Bytes[] | undefined> {
    for (;;) {
      this.#readAhead();
      while (this.#ahead.length === 0) {
        if (this.#reading === undefined) return undefined;
        await this.#reading;
      }
      const { read, length } = this.#ahead.shift()!;
      this.#aheadLength -= length;
      this.#readAhead();
      if (read === "end") return this.#end();
      const pieces = this.#deliver(await opened(read));
      if (pieces.length > 0) return pieces;
    }
  }

  /** Stops reading. */
  close(reason: unknown): void {
    void this.reader.cancel(reason).catch(() => {});
  }

  /** Reads more, unless enough is being opened: the platform opens several frames concurrently. */
  #readAhead(): void {
    if (this.#reading !== undefined || this.#ended || this.#aheadLength >= READ_AHEAD) return;
    this.#reading = this.#readOne().finally(() => {
      this.#reading = undefined;
      this.#readAhead();
    });
  }

  async #readOne(): Promise<void> {
    let length = 0;
    let read: Read;
    try {
      const { done, value } = await this.reader.read();
      length = value?.length ?? 0;
      read = done ? "end" : this.#open(value);
    } catch (error) {
      read = Promise.reject(error);
      this.#ended = true;
    }
    if (read === "end") this.#ended = true;
    // The caller that awaits this read gets the error.
    if (read !== "end") read.catch(() => {});
    this.#ahead.push({ read, length });
    this.#aheadLength += length;
  }

  #open(wire: Uint8Array): Promise<OpenedFrame[]> {
    const { encodeType, maxMteBody } = this.plan;
    this.#received += wire.length;
    if (this.#opener === undefined) {
      if (wire.length > 0)
        throw refused("clear-body", "it has a body that its sealed headers do not announce");
      return Promise.resolve([]);
    }
    if (encodeType === "MTE" && this.#received > messageLength(MTE, maxMteBody)) throw tooLong(maxMteBody);
    this.#opener.push(wire);
    return this.#opener.frames();
  }

  /** The plaintext of frames that verified; for MTE there is none before the end. */
  #deliver(frames: OpenedFrame[]): Bytes[] {
    if (this.plan.encodeType === "MTE") {
      this.#tokens.push(...frames.map((frame) => frame.data));
      return [];
    }
    for (const { data, frame } of frames) {
      this.#count(data, frame.final);
      this.plan.chunk?.(data, concat(frame.head, frame.sealed), frame.final);
    }
    return frames.map((frame) => frame.data).filter((data) => data.length > 0);
  }

  async #end(): Promise<Bytes[] | undefined> {
    const opener = this.#opener;
    if (opener === undefined) return undefined;
    if (this.#received === 0)
      throw refused("missing-body", "its sealed headers announce a body, and it has none");
    try {
      opener.end();
      return this.plan.encodeType === "MTE" ? await this.#endTokens(opener) : undefined;
    } catch (cause) {
      throw bodyError(cause);
    }
  }

  /** The plaintext of an MTE body. */
  async #endTokens(opener: Opener): Promise<Bytes[] | undefined> {
    const { maxMteBody, chunk } = this.plan;
    const tokens = concat(...this.#tokens);
    this.#tokens = [];
    const plain = await opener.untoken(tokens);
    if (plain.length > maxMteBody) throw tooLong(maxMteBody);
    this.#count(plain, true);
    chunk?.(plain, tokens, true);
    return plain.length > 0 ? [plain] : undefined;
  }

  /** Checks the body against its length. */
  #count(data: Bytes, last: boolean): void {
    this.#opened += data.length;
    const length = this.plan.body?.length;
    if (length !== undefined && (this.#opened > length || (last && this.#opened < length))) {
      const atLeast = last ? "" : "at least ";
      const reason = `its body has ${atLeast}${this.#opened} bytes, its sealed content-length says ${length}`;
      throw refused("body-length", reason);
    }
    this.plan.progress?.({ loaded: this.#opened, total: length });
  }
}

/** The relay knows that nothing follows a body, so a place with 15 is never valid. */
function isBodysPlace(at: number): boolean {
  return at === place(1, 0, true);
}

/** Frames, or the error why they do not open; network errors are passed on unchanged. */
async function opened(read: Promise<OpenedFrame[]>): Promise<OpenedFrame[]> {
  try {
    return await read;
  } catch (cause) {
    throw cause instanceof DecodeError ? bodyError(cause) : cause;
  }
}

function bodyError(cause: unknown): MteRelayError {
  const cut = cause instanceof DecodeError && cause.reason === "truncated";
  return doesNotOpen(cut ? "cut-body" : "changed-body", "its body does not open", cause);
}

function tooLong(limit: number): MteRelayError {
  const reason = `its body has more than ${limit} bytes: raise maxMteBody, or use encodeType "MKE"`;
  return refused("too-large", reason);
}
