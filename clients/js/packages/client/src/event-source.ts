/**
 * EventSource through a relay: its interface, its stream format and its reconnection (HTML standard, "Server-sent
 * events"), over {@link mteFetch} or the fetch of a client.
 */

import { MteRelayError } from "./errors.js";
import { EventStream, type StreamEvent } from "./event-stream.js";
import { mteFetch } from "./v4.js";

/** Settings of a {@link MteEventSource}. */
export interface MteEventSourceInit {
  /** Sends cookies to another origin as well. */
  withCredentials?: boolean;
  /** The fetch function to use, such as `relay.fetch` of a client. Default {@link mteFetch}. */
  fetch?: (input: string, init: RequestInit) => Promise<Response>;
  /** Headers of the request, such as `authorization`. */
  headers?: HeadersInit;
  /** The maximum number of characters of one event; if exceeded, the connection fails and closes. Default 16 Mi. */
  maxEventSize?: number;
}

/** The reconnection time until a stream sends `retry:`, in milliseconds. */
const RECONNECTION_TIME = 3_000;
/** The relay's own errors that are worth a retry. */
const PASSING = [429, 502, 503, 504];

/** The interface of EventSource, sealed. `onerror` events have the `error` that caused them, if there is one. */
export class MteEventSource extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSED = 2;

  /** The URL as passed to the constructor. */
  readonly url: string;
  readonly withCredentials: boolean;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent<string>) => void) | null = null;
  onerror: ((event: Event & { error?: unknown }) => void) | null = null;

  #state: 0 | 1 | 2 = 0;
  #init: MteEventSourceInit;
  #abort = new AbortController();
  #lastEventId = "";
  #reconnectionTime = RECONNECTION_TIME;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(url: string | URL, init: MteEventSourceInit = {}) {
    super();
    this.url = String(url);
    this.withCredentials = init.withCredentials ?? false;
    this.#init = init;
    void this.#connect();
  }

  /** CONNECTING, OPEN or CLOSED. */
  get readyState(): 0 | 1 | 2 {
    return this.#state;
  }

  /** Closes the connection; no events follow. */
  close(): void {
    this.#state = 2;
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  async #connect(): Promise<void> {
    try {
      const response = await this.#request();
      if (this.#closed) return;
      const refusal = refusalOf(response);
      if (refusal !== undefined) {
        void response.body?.cancel().catch(() => {});
        this.#fail(refusal);
        return;
      }
      this.#state = 1;
      this.#announce("open");
      await this.#read(response);
      this.#reconnect(undefined);
    } catch (error) {
      if (this.#closed) return;
      if (isFinal(error)) this.#fail(error);
      else this.#reconnect(error);
    }
  }

  #request(): Promise<Response> {
    const headers = new Headers(this.#init.headers);
    headers.set("accept", "text/event-stream");
    // Each character of a header is one byte of the id's UTF-8.
    if (this.#lastEventId !== "") headers.set("last-event-id", binary(this.#lastEventId));
    const send = this.#init.fetch ?? mteFetch;
    return send(this.url, {
      headers,
      cache: "no-store",
      credentials: this.withCredentials ? "include" : "same-origin",
      signal: this.#abort.signal,
    });
  }

  async #read(response: Response): Promise<void> {
    const events = new EventStream(this.#init.maxEventSize ?? 16 << 20, this.#lastEventId);
    const text = new TextDecoder();
    const reader = response.body?.getReader();
    for (;;) {
      const piece = await reader?.read();
      if (this.#closed || piece === undefined || piece.done) return;
      for (const event of events.push(text.decode(piece.value, { stream: true }))) {
        this.#dispatch(event, response.url);
        if (this.#closed) return;
      }
      this.#lastEventId = events.lastEventId;
      this.#reconnectionTime = events.retry ?? this.#reconnectionTime;
    }
  }

  #dispatch({ type, data, lastEventId }: StreamEvent, url: string): void {
    this.#lastEventId = lastEventId;
    const origin = url === "" ? "" : new URL(url).origin;
    this.#emit(new MessageEvent(type, { data, lastEventId, origin }));
  }

  #reconnect(error: unknown): void {
    if (this.#closed) return;
    this.#state = 0;
    this.#announce("error", error);
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#connect(), this.#reconnectionTime);
  }

  #fail(error: unknown): void {
    this.#state = 2;
    this.#announce("error", error);
  }

  #announce(type: "open" | "error", error?: unknown): void {
    const event = new Event(type);
    this.#emit(error === undefined ? event : Object.assign(event, { error }));
  }

  #emit(event: Event): void {
    this.dispatchEvent(event);
    if (event.type === "open") this.onopen?.(event);
    else if (event.type === "error") this.onerror?.(event);
    else if (event.type === "message") this.onmessage?.(event as MessageEvent<string>);
  }

  get #closed(): boolean {
    return this.#state === 2;
  }
}

/** Why a response is not an event stream. */
function refusalOf(response: Response): Error | undefined {
  const type = response.headers.get("content-type") ?? "";
  if (response.status !== 200)
    return new TypeError(`the event stream was answered with status ${response.status}`);
  if (!/^\s*text\/event-stream\s*(;|$)/i.test(type)) {
    return new TypeError(`the event stream has the content type ${JSON.stringify(type)}`);
  }
  return undefined;
}

/** Whether a retry would fail the same way. */
function isFinal(error: unknown): boolean {
  if (error instanceof RangeError) return true;
  if (!(error instanceof MteRelayError)) return false;
  if (error.kind === "relay") return error.status !== undefined && !PASSING.includes(error.status);
  return error.kind === "setting" || error.kind === "request" || error.kind === "redirect";
}

function binary(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}
