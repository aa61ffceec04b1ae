/** Receiving the answer to a request: a response to open, or an error of the relay in the clear. */

import {
  controlClientId,
  FIRST_RELAY_STATUS,
  LAST_RELAY_STATUS,
  X_MTE_RELAY,
  X_MTE_RELAY_EH,
} from "@mte-relay/core";
import type { MteRelayError } from "./errors.js";
import type { Order, Relay } from "./order.js";
import type { SealedHead } from "./request/head.js";
import { relayError } from "./response/clear.js";
import { decompress } from "./response/decompress.js";
import { openBody } from "./response/download.js";
import { type OpenedHead, openHead } from "./response/head.js";
import { isBodiless, makeResponse, type ResponseFacts } from "./response/response.js";

/** The relay's own error, in the clear. */
export interface Refusal {
  error: MteRelayError;
  status: number;
}

/** Opens the response from the wire. */
export async function receive(
  relay: Relay,
  order: Order,
  head: SealedHead,
  outer: Response,
): Promise<Response | Refusal> {
  if (!outer.headers.has(X_MTE_RELAY_EH)) {
    emitResponse(relay, order, outer, undefined);
    head.ticket.release();
    return clearAnswer(relay, order, outer);
  }
  const { ticket, first, sealedNames } = head;
  const { encodeType, responseHeaders } = order.rules;
  let opened: OpenedHead;
  try {
    opened = await openHead(outer, { ticket, first, sealedNames, encodeType, responseHeaders });
  } catch (error) {
    emitResponse(relay, order, outer, undefined);
    void outer.body?.cancel().catch(() => {});
    throw error;
  }
  emitResponse(relay, order, outer, opened);
  relay.pool.takeSignature(controlClientId(outer.headers.get(X_MTE_RELAY)));
  // All numbers of the response are used.
  ticket.release();
  return openedResponse(relay, order, outer, opened);
}

function openedResponse(relay: Relay, order: Order, outer: Response, opened: OpenedHead): Response {
  const { exchange, outgoing, rules } = order;
  const { debug, maxMteBody } = relay.rules;
  const wire = outer.body ?? (opened.body ? emptyStream() : null);
  if (wire === null || isBodiless(outer.status) || outgoing.method === "HEAD")
    return makeResponse(null, outer, opened.headers, facts(order, outer));
  let failure: unknown;
  const body = openBody(wire, {
    body: opened.body,
    encodeType: rules.encodeType,
    maxMteBody,
    chunk: debug && ((plain, wire, last) => debug({ type: "response-chunk", exchange, plain, wire, last })),
    progress: rules.onDownloadProgress,
    failed: (error) => {
      failure = error;
      debug?.({ type: "failed", exchange, error });
    },
  });
  const content = decompress(body, opened.sealed.get("content-encoding"));
  return makeResponse(content, outer, opened.headers, { ...facts(order, outer), failure: () => failure });
}

function emptyStream(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.close() });
}

/** An answer without sealed headers: an error of the relay, or not from a relay at all. */
async function clearAnswer(relay: Relay, order: Order, outer: Response): Promise<Response | Refusal> {
  const { status } = outer;
  const own = status >= FIRST_RELAY_STATUS && status <= LAST_RELAY_STATUS;
  if (relay.rules.relayErrors === "response" && status >= 400 && !own) {
    const headers = new Headers(outer.headers);
    headers.delete(X_MTE_RELAY);
    return makeResponse(outer.body, outer, headers, facts(order, outer));
  }
  return { error: await relayError(outer), status };
}

function facts({ outgoing, redirected }: Order, outer: Response): ResponseFacts {
  return { url: outgoing.url.href.replace(/#.*$/s, ""), redirected, type: outer.type };
}

function emitResponse(relay: Relay, order: Order, outer: Response, opened: OpenedHead | undefined): void {
  relay.rules.debug?.({
    type: "response",
    exchange: order.exchange,
    status: outer.status,
    wireHeaders: [...outer.headers],
    sealed: opened && [...opened.sealed],
    part: opened?.part,
  });
}
