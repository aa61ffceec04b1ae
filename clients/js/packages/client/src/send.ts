/** Sending a request whose head is sealed, and sealing its body. */

import { messageType } from "@mte-relay/core";
import type { HeaderList } from "./observe.js";
import type { Order, Relay } from "./order.js";
import type { Pair } from "./pair/pair.js";
import type { SealedHead } from "./request/head.js";
import { sealBody, type WireBody } from "./request/upload.js";
import { canSendByXhr, sendByFetch, sendByXhr, streamsUploads, type WireRequest } from "./transport.js";

/** Sends the request and returns the response as it arrives over the wire. */
export async function send(relay: Relay, order: Order, head: SealedHead): Promise<Response> {
  const { outgoing, rules } = order;
  const { method, signal } = outgoing;
  const body = await wireBody(relay, order, head);
  signal.throwIfAborted();
  // A cache could answer a URL in the clear with a message that was already used.
  const init: RequestInit = rules.encodeUrl ? outgoing.init : { ...outgoing.init, cache: "no-store" };
  const wire = { url: head.url, method, headers: head.headers, body, signal, init };
  if (rules.onUploadProgress && body !== undefined && !(body instanceof ReadableStream)) {
    return sendWithProgress(relay, order, head, { ...wire, body });
  }
  return sendByFetch(wire, relay.rules.fetch);
}

async function wireBody(relay: Relay, order: Order, head: SealedHead): Promise<WireBody | undefined> {
  const { exchange, outgoing, rules } = order;
  const { debug } = relay.rules;
  if (outgoing.body === undefined) return undefined;
  const asStream = outgoing.body.kind !== "bytes" && (await streamsUploads(relay, rules));
  return sealBody(head, messageType(rules.encodeType), outgoing.body, asStream, {
    chunk: debug && ((plain, wire, last) => debug({ type: "request-chunk", exchange, plain, wire, last })),
    // For other bodies, the transport reports the progress.
    progress: asStream ? rules.onUploadProgress : undefined,
  });
}

async function sendWithProgress(
  relay: Relay,
  { rules }: Order,
  head: SealedHead,
  wire: WireRequest & { body: Exclude<WireBody, ReadableStream> },
): Promise<Response> {
  const length = wire.body instanceof Blob ? wire.body.size : wire.body.length;
  const total = head.parts.at(-1)?.plainLength ?? length;
  const report = (loaded: number) => rules.onUploadProgress?.({ loaded, total });
  if (relay.rules.fetch === undefined && canSendByXhr()) {
    return sendByXhr(wire, (sent) => report(Math.round((total * sent) / length)));
  }
  const response = await sendByFetch(wire, relay.rules.fetch);
  report(total);
  return response;
}

/** Emits the debug event of a request that is about to be sent. */
export function emitRequest(relay: Relay, order: Order, head: SealedHead, pair: Pair): void {
  const { method, url, headers } = order.outgoing;
  relay.rules.debug?.({
    type: "request",
    exchange: order.exchange,
    method,
    url: url.href,
    headers: [...headers] as HeaderList,
    wireUrl: head.url,
    wireHeaders: head.headers,
    headerMap: head.headerMap,
    pairId: pair.id,
    parts: head.parts,
  });
}
