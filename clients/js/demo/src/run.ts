/** Sending: every action of the page is one exchange, which collects every event about it. */

import { createRelayClient, MteEventSource, type RelayClient } from "@mte-relay/client";
import { sha256 } from "@noble/hashes/sha2.js";
import type { Choices } from "./choices.js";
import { type Exchange, type Exchanges, MARK, now } from "./exchange.js";
import { cut, size } from "./format.js";
import { type Body, order } from "./news.js";

/** How many bytes of a body are kept for display. */
const KEPT = 2 << 10;
/** The maximum number of requests whose client numbers are kept. */
const MAX_IN_FLIGHT = 64;

export interface Task {
  title: string;
  method: string;
  target: string;
  headers?: Record<string, string>;
  body?: string | Blob;
}

/** Is called with the progress of a body, in bytes. */
export type Progress = (loaded: number, total: number | undefined) => void;

export class Runner {
  readonly client: RelayClient;

  constructor(
    relay: string,
    private readonly exchanges: Exchanges,
    private readonly choices: Choices,
    onPaired: (line: string) => void,
  ) {
    const numbers = new Map<number, Exchange>();
    this.client = createRelayClient({
      url: relay,
      debug: (event) => {
        exchanges.observe(event, numbers);
        for (const oldest of numbers.keys()) {
          if (numbers.size <= MAX_IN_FLIGHT) break;
          numbers.delete(oldest);
        }
        if (event.type === "paired") {
          onPaired(
            `Paired: ${event.pairs} pairs by ${event.kem} in ${event.milliseconds.toFixed(0)} ms, ${size(event.sent)} sent, ${size(event.received)} received`,
          );
        }
      },
    });
  }

  /** Sends a request and reads its response to the end. Never rejects. */
  async send(task: Task, signal?: AbortSignal, upload?: Progress, download?: Progress): Promise<void> {
    const exchange = this.#begin(task);
    try {
      await this.#tamper(exchange);
      if (task.body !== undefined) this.exchanges.update(exchange, { sent: await digest(task.body, upload) });
      this.exchanges.update(exchange, { began: now() });
      const response = await this.client.fetch(task.target, this.#init(exchange, task, signal), {
        ...this.choices.options(),
        ...(upload ? { onUploadProgress: ({ loaded, total }) => upload(loaded, total) } : {}),
      });
      const type = response.headers.get("content-type") ?? "";
      this.exchanges.update(exchange, { status: response.status, type, readAt: now() });
      await this.#read(exchange, response, download);
      this.exchanges.update(exchange, { over: true });
    } catch (error) {
      this.#fail(exchange, error, signal?.aborted ?? false);
    } finally {
      await this.#withdrawOrder(exchange);
    }
  }

  /** Listens to events until the signal is aborted or the stream ends. */
  async events(task: Task, signal: AbortSignal): Promise<void> {
    const exchange = this.#begin(task);
    await this.#tamper(exchange).catch(() => {});
    const source = new MteEventSource(task.target, {
      fetch: async (target, init) => {
        const own = this.#init(exchange, { ...task, headers: Object.fromEntries(new Headers(init.headers)) });
        const response = await this.client.fetch(
          target,
          { ...init, ...own, signal: init.signal ?? signal },
          this.choices.options(),
        );
        const type = response.headers.get("content-type") ?? "";
        this.exchanges.update(exchange, { status: response.status, type, readAt: now() });
        return response;
      },
    });
    await new Promise<void>((resolve) => {
      const end = () => {
        source.close();
        resolve();
      };
      source.onmessage = ({ data, lastEventId }) =>
        this.exchanges.readEvent(exchange, Number(lastEventId), data);
      source.onerror = (event) => {
        // The end of the stream ends the exchange: it does not reconnect.
        if (event.error !== undefined) this.#fail(exchange, event.error, false);
        end();
      };
      signal.addEventListener("abort", () => {
        this.exchanges.update(exchange, { stopped: true });
        end();
      });
    });
    this.exchanges.update(exchange, { over: true, readAt: now() });
    await this.#withdrawOrder(exchange);
  }

  #begin({ title, method, target }: Task): Exchange {
    return this.exchanges.begin({ title, method, target, order: this.choices.order() });
  }

  #init(exchange: Exchange, { method, headers, body }: Task, signal?: AbortSignal): RequestInit {
    return {
      method,
      headers: { ...headers, [MARK]: exchange.id },
      ...(body === undefined ? {} : { body }),
      ...(signal ? { signal } : {}),
    };
  }

  async #tamper(exchange: Exchange): Promise<void> {
    if (exchange.order === "none") return;
    // The order is for the request, not for a pairing before it.
    await this.client.pair();
    await order(exchange.order);
  }

  /** Withdraws an order that was not used. */
  async #withdrawOrder(exchange: Exchange): Promise<void> {
    if (exchange.order !== "none") await order("none").catch(() => {});
  }

  async #read(exchange: Exchange, response: Response, progress: Progress | undefined): Promise<void> {
    const total = Number(response.headers.get("content-length")) || undefined;
    const digesting = new Digesting();
    let shown = 0;
    const reader = response.body?.getReader();
    for (;;) {
      const piece = await reader?.read();
      const done = piece === undefined || piece.done;
      if (!done) digesting.push(piece.value);
      if (done || now() - shown > 60) {
        shown = now();
        progress?.(digesting.length, total);
        this.exchanges.update(exchange, { read: digesting.body(done), readAt: shown });
      }
      if (done) return;
    }
  }

  #fail(exchange: Exchange, error: unknown, stopped: boolean): void {
    const text = error instanceof Error ? error.message : String(error);
    this.exchanges.update(exchange, { over: true, error: capital(cut(text, 300)), stopped });
  }
}

class Digesting {
  length = 0;
  #hash = sha256.create();
  #start: Uint8Array[] = [];
  #kept = 0;

  push(bytes: Uint8Array): void {
    this.length += bytes.length;
    this.#hash.update(bytes);
    if (this.#kept >= KEPT) return;
    const piece = bytes.slice(0, KEPT - this.#kept);
    this.#kept += piece.length;
    this.#start.push(piece);
  }

  body(over: boolean): Body {
    const decoder = new TextDecoder();
    const text = this.#start.map((piece) => decoder.decode(piece, { stream: true })).join("");
    const hex = (bytes: Uint8Array) =>
      Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return { length: this.length, sha256: over ? hex(this.#hash.digest()) : "", text };
  }
}

async function digest(body: string | Blob, progress: Progress | undefined): Promise<Body> {
  const blob = new Blob([body]);
  const digesting = new Digesting();
  const reader = blob.stream().getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    digesting.push(read.value);
    progress?.(0, blob.size);
  }
  return digesting.body(true);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1).replace(/\.$/, "");
}
