/**
 * The arguments of fetch, normalized. The platform's own Request does most of it, so that methods, headers and bodies
 * have the same meaning as there.
 */

import { MteRelayError } from "../errors.js";
import { type Body, blobBody } from "./body.js";

/** A request in plaintext. */
export interface Outgoing {
  method: string;
  url: URL;
  headers: Headers;
  body: Body | undefined;
  redirect: RequestRedirect;
  signal: AbortSignal;
  /** The options of the platform's fetch that are not sealed: credentials, referrer, priority ... */
  init: RequestInit;
}

/** Options that are set here, or have no meaning for a sealed request. */
const OWN_FIELDS = [
  "body",
  "duplex",
  "headers",
  "integrity",
  "method",
  "redirect",
  "signal",
  "window",
] as const;
/** Fields of a Request that fetch would use. */
const KEPT_FIELDS = ["cache", "credentials", "keepalive", "mode", "referrer", "referrerPolicy"] as const;

/** Reads the arguments of fetch; resolves relative URLs against `base`. Throws a TypeError as fetch does. */
export async function readInput(
  input: RequestInfo | URL,
  init: RequestInit | undefined,
  base: string | undefined,
): Promise<Outgoing> {
  // fetch(url, request) takes all but the URL from the request.
  if (init instanceof Request) return readInput(new Request(absolute(input, base), init), undefined, base);
  const given = input instanceof Request ? input : undefined;
  const url = absolute(input, base);
  const source = init?.body;
  const streamed = isStream(source) ? source : undefined;
  // A stream is not passed to the Request, since not every platform gives it back. The empty bytes preserve the check
  // that the method may have a body.
  const checked = streamed ? { ...init, body: new Uint8Array(0) } : init;
  const { duplex: _, ...rest } = (checked ?? {}) as RequestInit & { duplex?: string };
  const request = new Request(given ?? url, { ...rest, signal: null });
  if (request.integrity) throw refused("integrity is not supported: bodies are authenticated anyway");
  if (request.mode === "no-cors") throw refused('mode "no-cors" hides the response: it cannot be opened');
  addWhatFetchAdds(request);
  return {
    method: request.method,
    url,
    headers: request.headers,
    body: streamed ? { kind: "stream", stream: asStream(streamed) } : await readBody(request, source),
    redirect: request.redirect,
    signal: (init?.signal === undefined ? given?.signal : init.signal) ?? new AbortController().signal,
    init: outerInit(given, init),
  };
}

/**
 * Adds the headers that fetch itself would add (Fetch standard, "HTTP-network-or-cache fetch"). Fetch would add them in
 * the clear, where the relay drops them.
 */
function addWhatFetchAdds({ headers, cache }: Request): void {
  const add = (name: string, value: string) => headers.has(name) || headers.set(name, value);
  add("accept", "*/*");
  if (cache === "no-cache") add("cache-control", "max-age=0");
  if (cache === "no-store" || cache === "reload") {
    add("pragma", "no-cache");
    add("cache-control", "no-cache");
  }
}

function absolute(input: RequestInfo | URL, base: string | undefined): URL {
  return new URL(input instanceof Request ? input.url : String(input), base);
}

/** The options left for the platform's fetch. */
function outerInit(given: Request | undefined, init: RequestInit | undefined): RequestInit {
  const kept = given ? Object.fromEntries(KEPT_FIELDS.map((field) => [field, given[field]])) : {};
  const outer: Record<string, unknown> = { ...kept, ...init };
  for (const field of OWN_FIELDS) delete outer[field];
  if (outer.mode === "navigate") delete outer.mode;
  return outer as RequestInit;
}

async function readBody(request: Request, source: unknown): Promise<Body | undefined> {
  if (request.method === "GET" || request.method === "HEAD") return undefined;
  if (typeof source === "string" || source instanceof ArrayBuffer || ArrayBuffer.isView(source)) {
    const bytes = new Uint8Array(await request.arrayBuffer());
    return bytes.length > 0 ? { kind: "bytes", bytes } : undefined;
  }
  if (source instanceof Blob) return blobBody(source);
  return blobBody(await request.blob());
}

type StreamLike = ReadableStream<unknown> | AsyncIterable<unknown>;

function isStream(body: unknown): body is StreamLike {
  if (typeof body !== "object" || body === null) return false;
  // FormData and URLSearchParams are iterable too, but not asynchronously.
  return body instanceof ReadableStream || Symbol.asyncIterator in body;
}

function asStream(source: StreamLike): ReadableStream<unknown> {
  if (source instanceof ReadableStream) {
    if (source.locked) throw refused("the body is a stream that is already locked to a reader");
    return source;
  }
  const iterator = source[Symbol.asyncIterator]();
  return new ReadableStream<unknown>(
    {
      async pull(controller) {
        const { done, value } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel(reason) {
        await iterator.return?.(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

function refused(reason: string): MteRelayError {
  return new MteRelayError("request", reason);
}
