/**
 * Sending a sealed request with what the platform offers: fetch, or XMLHttpRequest if the caller wants upload progress,
 * which fetch does not report.
 */

import { ROUTE_ECHO, ROUTE_PAIR } from "@mte-relay/core";
import type { HeaderList } from "./observe.js";
import type { RequestRules } from "./options.js";
import type { Relay } from "./order.js";
import type { WireBody } from "./request/upload.js";

/** A request as it goes over the wire. */
export interface WireRequest {
  url: string;
  method: string;
  headers: HeaderList;
  body: WireBody | undefined;
  signal: AbortSignal;
  init: RequestInit;
}

/** Sends with fetch. */
export function sendByFetch(request: WireRequest, customFetch: typeof fetch | undefined): Promise<Response> {
  const { url, method, headers, body, signal, init } = request;
  const streamed = body instanceof ReadableStream ? { duplex: "half" } : {};
  const send = customFetch ?? globalThis.fetch;
  return send(url, { ...init, ...streamed, method, headers, body: body ?? null, signal, redirect: "follow" });
}

/** Whether XMLHttpRequest is available, which reports upload progress. */
export function canSendByXhr(): boolean {
  return typeof XMLHttpRequest !== "undefined";
}

/** Sends with XMLHttpRequest and reports the bytes sent. The response is buffered as a Blob before it is opened. */
export function sendByXhr(request: WireRequest, progress: (sent: number) => void): Promise<Response> {
  const { url, method, headers, body, signal, init } = request;
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    const abort = () => xhr.abort();
    const settle = (outcome: () => void) => () => {
      signal.removeEventListener("abort", abort);
      outcome();
    };
    xhr.open(method, url);
    xhr.responseType = "blob";
    xhr.withCredentials = init.credentials === "include";
    for (const [name, value] of headers) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = ({ loaded }) => progress(loaded);
    xhr.onload = settle(() => resolve(xhrResponse(xhr)));
    xhr.onerror = settle(() => reject(new TypeError("Failed to fetch")));
    xhr.onabort = settle(() => reject(signal.reason));
    signal.addEventListener("abort", abort);
    xhr.send(body as XMLHttpRequestBodyInit);
  });
}

function xhrResponse(xhr: XMLHttpRequest): Response {
  const headers = new Headers();
  for (const line of xhr
    .getAllResponseHeaders()
    .trim()
    .split(/[\r\n]+/)) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const blob = xhr.response as Blob | null;
  const body = blob && blob.size > 0 ? blob.stream() : null;
  return new Response(body, { status: xhr.status, statusText: xhr.statusText, headers });
}

/** Whether a body is sent while it is sealed. The pairing with the relay must be done. */
export async function streamsUploads(relay: Relay, { uploads }: RequestRules): Promise<boolean> {
  if (uploads !== "auto") return uploads === "stream";
  if (!inBrowser()) return true;
  // Browsers stream uploads over HTTP/2 and up, which needs TLS.
  if (!relay.base.startsWith("https:") || !streamsRequests()) return false;
  const entry = performance.getEntriesByName(relay.base + ROUTE_PAIR).at(-1) as
    | PerformanceResourceTiming
    | undefined;
  // A page of another origin does not see the connection's protocol, so it is probed.
  const protocol = entry?.nextHopProtocol;
  if (protocol) return protocol === "h2" || protocol === "h3";
  relay.streams ??= probeStream(relay);
  const streams = await relay.streams;
  // It may have failed for another reason.
  if (!streams) relay.streams = undefined;
  return streams;
}

/** Whether a stream can be sent: browsers refuse over HTTP/1.1. The response does not matter. */
async function probeStream({ base, rules }: Relay): Promise<boolean> {
  const body = new ReadableStream({ start: (controller) => controller.close() });
  const init = {
    method: "POST",
    body,
    duplex: "half",
    cache: "no-store",
    credentials: rules.credentials,
  } as const;
  try {
    const response = await (rules.fetch ?? globalThis.fetch)(base + ROUTE_ECHO, init);
    void response.body?.cancel().catch(() => {});
    return true;
  } catch {
    return false;
  }
}

function inBrowser(): boolean {
  return typeof document !== "undefined" || ("WorkerGlobalScope" in globalThis && !("Deno" in globalThis));
}

function streamsRequests(): boolean {
  let duplexRead = false;
  const init = {
    method: "POST",
    body: new ReadableStream(),
    get duplex() {
      duplexRead = true;
      return "half";
    },
  };
  // A platform without request streams converts the stream to a string, which has a content type.
  return !new Request("https://relay.invalid", init).headers.has("content-type") && duplexRead;
}
