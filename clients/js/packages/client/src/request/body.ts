/** A request's body before it is sealed: bytes in memory, a Blob, or a stream. */

import { type Bytes, own } from "@mte-relay/core";
import { MteRelayError } from "../errors.js";

/** A body; `undefined` means none. */
export type Body =
  | { kind: "bytes"; bytes: Bytes }
  | { kind: "blob"; blob: Blob }
  /** Of unknown length; can be read once. */
  | { kind: "stream"; stream: ReadableStream<unknown> };

/** A Blob up to this size is read into memory. */
const SMALL_BLOB = 4 << 20;

/** The body's length, if it is known. */
export function bodyLength(body: Body): number | undefined {
  if (body.kind === "bytes") return body.bytes.length;
  return body.kind === "blob" ? body.blob.size : undefined;
}

/** Whether the body can be sent a second time. */
export function isRepeatable(body: Body | undefined): boolean {
  return body?.kind !== "stream";
}

/** A Blob as a body: in memory if it is small, none if it is empty. */
export async function blobBody(blob: Blob): Promise<Body | undefined> {
  if (blob.size === 0) return undefined;
  if (blob.size > SMALL_BLOB) return { kind: "blob", blob };
  return { kind: "bytes", bytes: new Uint8Array(await blob.arrayBuffer()) };
}

/** Buffers a stream in a Blob, which browsers may keep on disk. */
export async function gather(stream: ReadableStream<unknown>): Promise<Body | undefined> {
  return blobBody(await new Response(byteStream(stream)).blob());
}

/** The whole body in memory. Throws a MteRelayError beyond `limit` bytes. */
export async function inMemory(body: Body, limit: number): Promise<Bytes> {
  const tooLong = () =>
    new MteRelayError(
      "request",
      `the body has more than ${limit} bytes: use encodeType "MKE", or raise maxMteBody`,
    );
  if ((bodyLength(body) ?? 0) > limit) throw tooLong();
  if (body.kind === "bytes") return body.bytes;
  if (body.kind === "blob") return new Uint8Array(await body.blob.arrayBuffer());
  const pieces: Bytes[] = [];
  let length = 0;
  const reader = byteStream(body.stream).getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    length += read.value.length;
    if (length > limit) {
      void reader.cancel().catch(() => {});
      throw tooLong();
    }
    pieces.push(read.value);
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/** The bytes of a body, chunk by chunk. */
export function stream(body: Body): ReadableStream<Bytes> {
  if (body.kind === "stream") return byteStream(body.stream);
  const source = body.kind === "blob" ? body.blob : new Blob([body.bytes]);
  return source.stream() as ReadableStream<Bytes>;
}

/** A stream of bytes: like fetch, it refuses other chunks. */
function byteStream(source: ReadableStream<unknown>): ReadableStream<Bytes> {
  return source.pipeThrough(
    new TransformStream<unknown, Bytes>({
      transform(chunk, controller) {
        if (!(chunk instanceof Uint8Array)) {
          throw new MteRelayError(
            "request",
            "the chunks of a stream that is a request's body must be Uint8Array",
          );
        }
        if (chunk.length > 0) controller.enqueue(own(chunk));
      },
    }),
  );
}
