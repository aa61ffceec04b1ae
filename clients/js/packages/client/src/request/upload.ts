/**
 * Uploading a request's body: sealed as a whole if it is in memory, otherwise frame by frame as it is read. A body of
 * known length is collected into full frames; one of unknown length is sealed chunk by chunk, as the chunks arrive.
 */

import { type Bytes, concat, MAX_FRAME, type MessageType } from "@mte-relay/core";
import { Sealer } from "../codec/seal.js";
import { MteRelayError } from "../errors.js";
import type { Progress } from "../options.js";
import { type Body, bodyLength, stream } from "./body.js";
import type { SealedHead } from "./head.js";

/** A sealed body in a form that fetch accepts. */
export type WireBody = Bytes | Blob | ReadableStream<Bytes>;

/** Callbacks for what is sealed. */
export interface UploadHooks {
  chunk?: ((plain: Uint8Array, wire: Uint8Array, last: boolean) => void) | undefined;
  progress?: ((progress: Progress) => void) | undefined;
}

/** The size of a sealed Blob's parts: more parts cost more time, larger parts more memory. */
const BLOB_PART = 4 << 20;

/** Seals `body`; `asStream`: a body that is not in memory is sent while it is sealed. */
export async function sealBody(
  head: SealedHead,
  type: MessageType,
  body: Body,
  asStream: boolean,
  hooks: UploadHooks,
): Promise<WireBody> {
  const { slot, place } = head.body!;
  const sealer = await Sealer.begin(slot, type, place);
  if (body.kind === "bytes") {
    const wire = await sealer.whole(body.bytes);
    hooks.chunk?.(body.bytes, wire, true);
    return wire;
  }
  const frames = new Frames(sealer, body, hooks);
  return asStream ? frames.stream() : frames.blob();
}

class Frames {
  readonly #total: number | undefined;
  readonly #reader: ReadableStreamDefaultReader<Bytes>;
  /** Read but not sealed yet. */
  #pending: Bytes[] = [];
  #pendingLength = 0;
  #taken = 0;
  #first = true;

  constructor(
    private readonly sealer: Sealer,
    body: Body,
    private readonly hooks: UploadHooks,
  ) {
    this.#total = bodyLength(body);
    this.#reader = stream(body).getReader();
  }

  stream(): ReadableStream<Bytes> {
    let done = false;
    return new ReadableStream<Bytes>(
      {
        pull: async (controller) => {
          if (done) return;
          const { wire, last } = await this.next();
          controller.enqueue(wire);
          if (last) {
            done = true;
            controller.close();
          }
        },
        cancel: (reason) => this.#reader.cancel(reason),
      },
      { highWaterMark: 0 },
    );
  }

  /** The whole sealed body in a Blob, which browsers may keep on disk. */
  async blob(): Promise<Blob> {
    const parts: Blob[] = [];
    for (let last = false; !last; ) {
      // The platform seals several frames concurrently.
      const sealing: Promise<Bytes>[] = [];
      for (let length = 0; length < BLOB_PART && !last; ) {
        const { data, last: final } = await this.#data();
        last = final;
        length += data.length;
        sealing.push(this.#seal(data, last));
      }
      parts.push(new Blob(await Promise.all(sealing)));
    }
    return new Blob(parts);
  }

  /** The next frame. */
  async next(): Promise<{ wire: Bytes; last: boolean }> {
    const { data, last } = await this.#data();
    return { wire: await this.#seal(data, last), last };
  }

  /** The plaintext of the next frame. */
  async #data(): Promise<{ data: Bytes; last: boolean }> {
    const next = this.#total === undefined ? await this.#piece() : await this.#full(this.#total);
    this.#taken += next.data.length;
    return next;
  }

  /** Seals a frame; the first one is preceded by the message's header. */
  async #seal(data: Bytes, last: boolean): Promise<Bytes> {
    const header = this.#first ? this.sealer.header.bytes : undefined;
    this.#first = false;
    const loaded = this.#taken;
    const frame = await this.sealer.frame(data, last);
    const wire = header ? concat(header, frame) : frame;
    this.hooks.chunk?.(data, wire, last);
    this.hooks.progress?.({ loaded, total: this.#total });
    return wire;
  }

  /** The available bytes, at most one frame; the last frame is empty. */
  async #piece(): Promise<{ data: Bytes; last: boolean }> {
    if (this.#pendingLength === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return { data: new Uint8Array(), last: true };
      this.#keep(value);
    }
    return { data: this.#take(Math.min(this.#pendingLength, MAX_FRAME)), last: false };
  }

  /** A full frame; the last one once the announced length is reached. */
  async #full(total: number): Promise<{ data: Bytes; last: boolean }> {
    const want = Math.min(total - this.#taken, MAX_FRAME);
    while (this.#pendingLength < want) {
      const { done, value } = await this.#reader.read();
      if (done) throw new MteRelayError("request", "the request's body is shorter than its declared length");
      this.#keep(value);
    }
    return { data: this.#take(want), last: this.#taken + want === total };
  }

  #keep(bytes: Bytes): void {
    this.#pending.push(bytes);
    this.#pendingLength += bytes.length;
  }

  #take(size: number): Bytes {
    const all = this.#pending.length === 1 ? this.#pending[0]! : concat(...this.#pending);
    const rest = all.subarray(size);
    this.#pending = rest.length > 0 ? [rest] : [];
    this.#pendingLength -= size;
    return all.subarray(0, size);
  }
}
