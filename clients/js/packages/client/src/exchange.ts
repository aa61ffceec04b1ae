/** One exchange with a relay: sealed, sent, opened; and its repetition after a new pairing. */

import {
  mayResend,
  meansPairAnew,
  messageType,
  ROUTE_PAIR,
  X_MTE_RELAY,
  X_MTE_RELAY_EH,
} from "@mte-relay/core";
import { MteRelayError } from "./errors.js";
import type { HeaderList, Observe } from "./observe.js";
import type { ClientRules, RequestRules } from "./options.js";
import type { Pair } from "./pair/pair.js";
import type { Pool } from "./pair/pool.js";
import { isRepeatable } from "./request/body.js";
import { type SealedHead, sealHead } from "./request/head.js";
import type { Outgoing } from "./request/input.js";
import { sealBody, type WireBody } from "./request/upload.js";
import { relayError } from "./response/clear.js";
import { decompress } from "./response/decompress.js";
import { openBody } from "./response/download.js";
import { openHead } from "./response/head.js";
import { isBodiless, makeResponse } from "./response/response.js";
import { canSendByXhr, canStreamUploads, sendByFetch, sendByXhr } from "./transport.js";

/** What exchanges of one client share. */
export interface Relay {
  /** Origin and path prefix. */
  base: string;
  rules: ClientRules;
  pool: Pool;
}

/** One request on its way, with its rules. */
export interface Order {
  /** Which of the client's exchanges. */
  exchange: number;
  outgoing: Outgoing;
  rules: RequestRules;
  redirected: boolean;
}

/** Sends a request and opens its response; once more under a new pair if the relay asks for one. */
export async function exchange(relay: Relay, order: Order): Promise<Response> {
  const { outgoing, rules } = order;
  const { debug } = relay.rules;
  let reason: string | undefined;
  for (let attempt = 1; ; attempt++) {
    const pair = await orAborted(relay.pool.take(reason), outgoing.signal);
    const answer = await attemptOnce(relay, order, pair);
    if (answer instanceof Response) return answer;
    const { error, status } = answer;
    if (!meansPairAnew(status)) throw error;
    relay.pool.drop(pair, status);
    const why = whyNotAgain(outgoing, rules, attempt);
    if (why !== undefined) throw withNote(error, why);
    debug?.({ type: "retry", exchange: order.exchange, status, message: error.message });
    reason = error.message;
  }
}

/** An answer of the relay itself, in the clear. */
interface Refusal {
  error: MteRelayError;
  status: number;
}

async function attemptOnce(relay: Relay, order: Order, pair: Pair): Promise<Response | Refusal> {
  const { outgoing, rules } = order;
  const head = await sealHead(pair, rules, outgoing);
  try {
    tellRequest(relay.rules.debug, order, head, pair);
    const outer = await send(relay, order, head);
    if (!outer.headers.has(X_MTE_RELAY_EH)) {
      tellResponse(relay.rules.debug, order.exchange, outer, undefined);
      head.ticket.release();
      return await clearAnswer(relay, order, outer);
    }
    return await openResponse(relay, order, head, outer);
  } catch (error) {
    head.ticket.release();
    relay.rules.debug?.({ type: "failed", exchange: order.exchange, error });
    throw error;
  }
}

async function send(relay: Relay, order: Order, head: SealedHead): Promise<Response> {
  const { outgoing, rules } = order;
  const { method, signal } = outgoing;
  const { debug, fetch: customFetch } = relay.rules;
  const { exchange } = order;
  let body: WireBody | undefined;
  if (outgoing.body) {
    const asStream =
      rules.uploads === "stream" || (rules.uploads === "auto" && canStreamUploads(relay.base + ROUTE_PAIR));
    body = await sealBody(head, messageType(rules.encodeType), outgoing.body, asStream, {
      chunk: debug && ((plain, wire, last) => debug({ type: "request-chunk", exchange, plain, wire, last })),
      progress: asStream ? rules.onUploadProgress : undefined,
    });
  }
  signal.throwIfAborted();
  // A URL in the clear could be answered from a cache, with a message that was taken before.
  const init: RequestInit = rules.encodeUrl ? outgoing.init : { ...outgoing.init, cache: "no-store" };
  const wire = { url: head.url, method, headers: head.headers, body, signal, init };
  const { onUploadProgress } = rules;
  if (onUploadProgress && body && !(body instanceof ReadableStream)) {
    const length = body instanceof Blob ? body.size : body.length;
    const plain = head.parts.at(-1)?.plainLength ?? length;
    if (customFetch === undefined && canSendByXhr(body)) {
      return sendByXhr(wire, ({ loaded }) =>
        onUploadProgress({ loaded: Math.round((plain * loaded) / length), total: plain }),
      );
    }
    const response = await sendByFetch(wire, customFetch);
    onUploadProgress({ loaded: plain, total: plain });
    return response;
  }
  return sendByFetch(wire, customFetch);
}

async function openResponse(
  relay: Relay,
  order: Order,
  head: SealedHead,
  outer: Response,
): Promise<Response> {
  const { outgoing, rules, exchange } = order;
  const { debug, maxMteBody } = relay.rules;
  const { ticket, first, sealedNames } = head;
  const { encodeType } = rules;
  const opened = await openHead(outer, { ticket, first, sealedNames, encodeType }).catch((error: unknown) => {
    tellResponse(debug, exchange, outer, undefined);
    void outer.body?.cancel().catch(() => {});
    throw error;
  });
  debug?.({
    type: "response",
    exchange,
    status: outer.status,
    wireHeaders: [...outer.headers],
    sealed: [...opened.sealed],
    part: opened.part,
  });
  // An optional body's number is not taken yet; until then the request is in flight.
  if (opened.announced !== "unknown") ticket.release();
  const wire = outer.body ?? (opened.announced === "none" ? null : emptyStream());
  const bodiless = wire === null || isBodiless(outer.status) || outgoing.method === "HEAD";
  if (bodiless) ticket.release();
  let failure: unknown;
  const plain = bodiless
    ? null
    : openBody(wire, {
        head: opened,
        encodeType,
        ticket,
        maxMteBody,
        chunk:
          debug &&
          ((plain, cipher, last) => debug({ type: "response-chunk", exchange, plain, wire: cipher, last })),
        progress: rules.onDownloadProgress,
        failed: (error) => {
          failure = error;
          debug?.({ type: "failed", exchange, error });
        },
      });
  const coding = opened.sealed.get("content-encoding");
  const body = plain && coding ? decompress(plain, coding) : plain;
  return makeResponse(body, outer, opened.headers, {
    url: outgoing.url.href.replace(/#.*$/s, ""),
    redirected: order.redirected,
    type: outer.type,
    failure: () => failure,
  });
}

function emptyStream(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.close() });
}

/** An answer without sealed headers: an error of the relay, or no answer of a relay at all. */
async function clearAnswer(relay: Relay, order: Order, outer: Response): Promise<Response | Refusal> {
  const { status } = outer;
  const own = status >= 559 && status <= 569;
  if (relay.rules.relayErrors === "response" && status >= 400 && !own) {
    const headers = new Headers(outer.headers);
    headers.delete(X_MTE_RELAY);
    const url = order.outgoing.url.href;
    return makeResponse(outer.body as ReadableStream<Uint8Array<ArrayBuffer>> | null, outer, headers, {
      url,
      redirected: order.redirected,
      type: outer.type,
    });
  }
  return { error: await relayError(outer), status };
}

function whyNotAgain(outgoing: Outgoing, rules: RequestRules, attempt: number): string | undefined {
  if (attempt > 1) return "it was sent twice, under two pairs";
  if (rules.resend === "never") return "it was not sent again: resending is off";
  if (!mayResend(rules.resend, outgoing.method)) {
    return `it was not sent again: ${outgoing.method} is not idempotent`;
  }
  return isRepeatable(outgoing.body) ? undefined : "it was not sent again: its body is a stream";
}

function withNote(error: MteRelayError, note: string): MteRelayError {
  const { kind, message, status, requestId } = error;
  return new MteRelayError(kind, `${message} (${note})`, { status, requestId });
}

/** The promise's outcome, unless the signal is aborted first; others may go on waiting for the promise. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function tellRequest(debug: Observe | undefined, order: Order, head: SealedHead, pair: Pair): void {
  if (debug === undefined) return;
  const { method, url, headers } = order.outgoing;
  debug({
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

function tellResponse(
  debug: Observe | undefined,
  exchange: number,
  outer: Response,
  sealed: undefined,
): void {
  debug?.({
    type: "response",
    exchange,
    status: outer.status,
    wireHeaders: [...outer.headers],
    sealed,
    part: sealed,
  });
}
