/**
 * Hooks that observe what a client does, for debug logs, demos and tests.
 *
 * Events contain the plaintext next to what goes over the wire, but never a key. They are for development: do not send
 * them to a production log. Without a hook, no events are created.
 */

import type { EncodeType, KemName } from "@mte-relay/core";

/** One sealed part of a request or response: numbers and lengths. */
export interface Part {
  kind: "url" | "headers" | "body";
  /** Its message number (docs/codec.md, section 6). */
  number: number;
  /** Its place byte (docs/codec.md, section 4). */
  place: number;
  encodeType: EncodeType;
  /** Plaintext bytes, if already known. */
  plainLength?: number | undefined;
  /** Bytes of the message itself, before base64, if already known. */
  wireLength?: number | undefined;
}

/** Names and values, in order. */
export type HeaderList = [name: string, value: string][];

/** A piece of a body that was sealed or opened. */
export interface ChunkEvent<Type extends string = "request-chunk" | "response-chunk"> {
  type: Type;
  exchange: number;
  plain: Uint8Array;
  wire: Uint8Array;
  last: boolean;
}

/**
 * What a client does. `exchange` counts the requests of a client, to distinguish the events of several in flight; a
 * request that is sent again, or redirected, keeps its number.
 */
export type RelayEvent =
  | { type: "client-id"; clientId: string }
  | {
      type: "paired";
      pairs: number;
      kem: KemName;
      /** Bytes of the pairing request and of its answer. */
      sent: number;
      received: number;
      milliseconds: number;
      /** Why it was necessary, if it is not the first pairing. */
      reason: string | undefined;
    }
  | {
      type: "request";
      exchange: number;
      method: string;
      /** As the caller passed it. */
      url: string;
      headers: HeaderList;
      /** As it goes over the wire. */
      wireUrl: string;
      wireHeaders: HeaderList;
      /** The plaintext of the sealed header map, JSON. */
      headerMap: string;
      pairId: string;
      parts: Part[];
    }
  | ChunkEvent<"request-chunk">
  | ChunkEvent<"response-chunk">
  | {
      type: "response";
      exchange: number;
      status: number;
      wireHeaders: HeaderList;
      /** The headers that were sealed; undefined for an answer in the clear. */
      sealed: HeaderList | undefined;
      part: Part | undefined;
    }
  | { type: "retry"; exchange: number; status: number; message: string }
  | { type: "failed"; exchange: number; error: unknown };

/** Is called with every {@link RelayEvent}, in the middle of an exchange: return quickly and do not throw. */
export type Observe = (event: RelayEvent) => void;

/**
 * A hook that writes one readable line per event: what was sent, in plaintext and on the wire.
 *
 * ```ts
 * createRelayClient({ url, debug: debugLog() });
 * ```
 */
export function debugLog(write: (line: string) => void = (line) => console.debug(line)): Observe {
  return (event) => write(`[mte] ${describe(event)}`);
}

function describe(event: RelayEvent): string {
  switch (event.type) {
    case "client-id":
      return `client id ${event.clientId}`;
    case "paired": {
      const { pairs, kem, milliseconds, reason } = event;
      return `paired: ${pairs} pairs of ${kem} in ${milliseconds.toFixed(0)} ms${reason ? ` (${reason})` : ""}`;
    }
    case "request":
      return `#${event.exchange} > ${event.method} ${event.url} | ${event.headerMap} | on the wire ${cut(event.wireUrl)} | ${parts(event.parts)}`;
    case "request-chunk":
      return `#${event.exchange} > body: ${event.plain.length} bytes as ${event.wire.length}${last(event)}`;
    case "response": {
      const sealed = event.sealed ? JSON.stringify(Object.fromEntries(event.sealed)) : "in the clear";
      return `#${event.exchange} < ${event.status} | ${sealed}${event.part ? ` | ${parts([event.part])}` : ""}`;
    }
    case "response-chunk":
      return `#${event.exchange} < body: ${event.wire.length} bytes as ${event.plain.length}${last(event)}`;
    case "retry":
      return `#${event.exchange} again, under a new pair: ${event.message}`;
    case "failed":
      return `#${event.exchange} failed: ${event.error}`;
  }
}

function parts(list: readonly Part[]): string {
  return list
    .map(
      (part) =>
        `${part.kind} ${part.encodeType} n=${part.number} ${part.plainLength ?? "?"}->${part.wireLength ?? "?"} bytes`,
    )
    .join(", ");
}

function cut(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function last(event: ChunkEvent): string {
  return event.last ? ", the last" : "";
}
