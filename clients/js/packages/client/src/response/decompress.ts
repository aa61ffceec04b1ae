/** Decoding a body's content-encoding, as fetch does itself if it sees the header. */

import { refused } from "../errors.js";

const FORMATS: Readonly<Record<string, string>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "deflate",
  br: "brotli",
};

/** The content of `body`, with the codings that `contentEncoding` names decoded. */
export function decompress(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  contentEncoding: string | undefined,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const codings = (contentEncoding ?? "").split(",").map((coding) => coding.trim().toLowerCase());
  let content = body;
  for (const coding of codings.reverse()) {
    if (coding !== "" && coding !== "identity") content = content.pipeThrough(decompressor(coding));
  }
  return content;
}

function decompressor(
  coding: string,
): ReadableWritablePair<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  try {
    return new DecompressionStream((FORMATS[coding] ?? coding) as CompressionFormat);
  } catch (cause) {
    const reason = `it has the content-encoding ${coding}, which this platform cannot decode`;
    throw refused("content-coding", reason, { cause });
  }
}
