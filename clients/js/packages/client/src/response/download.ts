/**
 * A response's body on its way in: each frame's plaintext as soon as its tag has verified, and no faster than it is
 * read. The stream ends without an error only if the message's final frame verified.
 */

import { type Bytes, concat, type EncodeType, MTE, messageLength, messageType, place } from "@mte-relay/core";
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
          download.close(error);
          controller.error(error);
        }
      },
      cancel: (reason) => download.close(reason),
    },
    { highWaterMark },
  );
}

class Download {
  readonly #opener: Opener;
  /** Of a body of type MTE, what was opened so far. */
  #tokens: Bytes[] = [];
  #received = 0;
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
      const { done, value } = await this.reader.read();
      if (done) return this.#end();
      if (value.length === 0) continue;
      if (this.plan.head.announced === "none") {
        throw refused("it has a body that its sealed headers do not announce");
      }
      const pieces = await this.#take(value);
      if (pieces.length > 0) return pieces;
    }
  }

  /** Stops reading. */
  close(reason: unknown): void {
    this.plan.ticket.release();
    void this.reader.cancel(reason).catch(() => {});
    if (reason instanceof Error) this.plan.failed?.(reason);
  }

  async #take(wire: Uint8Array): Promise<Bytes[]> {
    const { encodeType, maxMteBody } = this.plan;
    this.#received += wire.length;
    if (encodeType === "MTE" && this.#received > messageLength(MTE, maxMteBody)) throw tooLong(maxMteBody);
    let frames: OpenedFrame[];
    try {
      this.#opener.push(wire);
      frames = await this.#opener.frames();
      if (!this.#committed && frames.length > 0) this.#commit();
    } catch (cause) {
      throw responseError("its body does not open", cause);
    }
    if (encodeType === "MTE") {
      this.#tokens.push(...frames.map((frame) => frame.data));
      return [];
    }
    for (const { data, frame } of frames) {
      this.#count(data, frame.final);
      this.plan.chunk?.(data, concat(frame.head, frame.sealed), frame.final);
    }
    return frames.map((frame) => frame.data).filter((data) => data.length > 0);
  }

  #end(): Bytes[] | undefined {
    const { head, encodeType, ticket, maxMteBody } = this.plan;
    const nothing = this.#received === 0 && head.announced !== "body";
    let last: Bytes | undefined;
    try {
      if (!nothing) this.#opener.end();
      if (!nothing && encodeType === "MTE" && this.#tokens.length > 0) {
        const tokens = concat(...this.#tokens);
        this.#tokens = [];
        last = this.#opener.untoken(tokens);
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
    this.plan.ticket.pair.decoder.commit(this.plan.head.bodyNumber, 1, this.#opener.reached);
    this.#committed = true;
    this.plan.ticket.release();
  }

  /** Holds the body against its length. */
  #count(data: Bytes, last: boolean): void {
    this.#opened += data.length;
    const { length } = this.plan.head;
    if (length !== undefined && (this.#opened > length || (last && this.#opened < length))) {
      throw refused(
        `its body has ${last ? "" : "at least "}${this.#opened} bytes, its sealed content-length says ${length}`,
      );
    }
    this.plan.progress?.({ loaded: this.#opened, total: length });
  }
}

function refused(reason: string): MteRelayError {
  return new MteRelayError("response", `the response was refused: ${reason}`);
}

function tooLong(limit: number): MteRelayError {
  return refused(`its body has more than ${limit} bytes: raise maxMteBody, or use encodeType "MKE"`);
}
