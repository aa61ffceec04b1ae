/**
 * A response's body on its way in: each frame's plaintext as soon as its tag has verified, and no faster than it is
 * read. The stream ends without an error only if the message's final frame verified.
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
import { MteRelayError, responseError } from "../errors.js";
import type { Progress } from "../options.js";
import type { Ticket } from "../pair/pair.js";
import type { OpenedHead } from "./head.js";

/** What is known of the body, and who is told about it. */
export interface DownloadPlan {
  head: OpenedHead;
  encodeType: EncodeType;
  ticket: Ticket;
  maxMteBody: number;
  chunk?: ((plain: Uint8Array, wire: Uint8Array, last: boolean) => void) | undefined;
  progress?: ((progress: Progress) => void) | undefined;
  failed?: ((error: unknown) => void) | undefined;
}

/** Bytes on the wire that are read and opened before they are asked for. */
const READ_AHEAD = 512 << 10;

/** The plaintext of `wire`. */
export function openBody(wire: ReadableStream<Uint8Array>, plan: DownloadPlan): ReadableStream<Bytes> {
  const download = new Download(wire.getReader(), plan);
  // Where a body may or may not come, its first frame is fetched ahead: until it is there, its number is not taken.
  const highWaterMark = plan.head.announced === "unknown" ? 1 : 0;
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
    { highWaterMark },
  );
}

/** What came in one read: frames that are being opened, or nothing more. */
type Read = Promise<OpenedFrame[]> | "end";

class Download {
  readonly #opener: Opener;
  /** What was read ahead, in order. */
  #ahead: { read: Read; length: number }[] = [];
  #aheadLength = 0;
  #reading: Promise<void> | undefined;
  /** Nothing more will be read. */
  #ended = false;
  #received = 0;
  /** Of a body of type MTE, what was opened so far. */
  #tokens: Bytes[] = [];
  #opened = 0;
  #committed: boolean;

  constructor(
    private readonly reader: ReadableStreamDefaultReader<Uint8Array>,
    private readonly plan: DownloadPlan,
  ) {
    const { head, encodeType } = plan;
    this.#committed = head.announced === "body";
    this.#opener = new Opener(head.bodySecrets, {
      type: messageType(encodeType),
      fits: (at) => at === place(1, 0, true) || at === place(1, 15, true),
      number: head.bodyNumber,
    });
  }

  /** The next pieces of plaintext, at least one; undefined at the end. */
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
    this.plan.ticket.release();
    void this.reader.cancel(reason).catch(() => {});
  }

  /** Reads on, unless enough is being opened: the platform opens several frames at the same time. */
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
    // Whoever comes to it learns that it failed.
    if (read !== "end") read.catch(() => {});
    this.#ahead.push({ read, length });
    this.#aheadLength += length;
  }

  #open(wire: Uint8Array): Promise<OpenedFrame[]> {
    const { encodeType, maxMteBody, head } = this.plan;
    if (wire.length > 0 && head.announced === "none") {
      throw refused("it has a body that its sealed headers do not announce");
    }
    this.#received += wire.length;
    if (encodeType === "MTE" && this.#received > messageLength(MTE, maxMteBody)) throw tooLong(maxMteBody);
    this.#opener.push(wire);
    return this.#opener.frames();
  }

  /** The plaintext of frames that verified; of type MTE there is none before the end. */
  #deliver(frames: OpenedFrame[]): Bytes[] {
    if (!this.#committed && frames.length > 0) this.#commit();
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
    const { head, encodeType, ticket, maxMteBody } = this.plan;
    const nothing = this.#received === 0 && head.announced !== "body";
    let last: Bytes | undefined;
    try {
      if (!nothing) this.#opener.end();
      if (!nothing && encodeType === "MTE" && this.#tokens.length > 0) {
        const tokens = concat(...this.#tokens);
        this.#tokens = [];
        last = await this.#opener.untoken(tokens);
        if (last.length > maxMteBody) throw tooLong(maxMteBody);
        this.#count(last, true);
        this.plan.chunk?.(last, tokens, true);
      }
    } catch (cause) {
      throw responseError("its body does not open", cause);
    }
    ticket.release();
    return last !== undefined && last.length > 0 ? [last] : undefined;
  }

  /** Takes an optional body's number with its first frame. */
  #commit(): void {
    try {
      this.plan.ticket.pair.decoder.commit(this.plan.head.bodyNumber, 1, this.#opener.reached);
    } catch (cause) {
      throw responseError("its body does not open", cause);
    }
    this.#committed = true;
    this.plan.ticket.release();
  }

  /** Holds the body against its length. */
  #count(data: Bytes, last: boolean): void {
    this.#opened += data.length;
    const { length } = this.plan.head;
    if (length !== undefined && (this.#opened > length || (last && this.#opened < length))) {
      const atLeast = last ? "" : "at least ";
      throw refused(`its body has ${atLeast}${this.#opened} bytes, its sealed content-length says ${length}`);
    }
    this.plan.progress?.({ loaded: this.#opened, total: length });
  }
}

/** Frames, or why they do not open; errors of the network stay as they are. */
async function opened(read: Promise<OpenedFrame[]>): Promise<OpenedFrame[]> {
  try {
    return await read;
  } catch (cause) {
    throw cause instanceof DecodeError ? responseError("its body does not open", cause) : cause;
  }
}

function refused(reason: string): MteRelayError {
  return new MteRelayError("response", `the response was refused: ${reason}`);
}

function tooLong(limit: number): MteRelayError {
  return refused(`its body has more than ${limit} bytes: raise maxMteBody, or use encodeType "MKE"`);
}
