/**
 * `fetch` through an MTE Relay: URL, headers and bodies are sealed between this client and the relay, with keys from
 * a post-quantum key exchange. docs/protocol.md specifies the protocol, docs/codec.md the message format.
 *
 * ```ts
 * import { createRelayClient } from "@mte-relay/client";
 *
 * const relay = createRelayClient({ url: "https://relay.example" });
 * const response = await relay.fetch("/orders/17", { headers: { authorization } });
 * console.log(response.status, await response.json());
 * ```
 *
 * @module @mte-relay/client
 */

export type { EncodeType, KemName, Resend, ResponseHeaders } from "@mte-relay/core";
export { type CreateRelayClientOptions, createRelayClient, type RelayClient } from "./client.js";
export type { Kem, KemKey, MlKemName } from "./crypto/kem.js";
export {
  type MteErrorCode,
  type MteErrorDetails,
  type MteErrorKind,
  MteRelayError,
  type RefusalCode,
} from "./errors.js";
export { MteEventSource, type MteEventSourceInit } from "./event-source.js";
export {
  type ChunkEvent,
  debugLog,
  type HeaderList,
  type Observe,
  type Part,
  type RelayEvent,
} from "./observe.js";
export type { MteOptions, Progress, RelayClientOptions } from "./options.js";
export { type InitOptions, initMteRelayClient, mteFetch } from "./v4.js";
