/** Which headers are never forwarded, and so never sent or sealed (docs/protocol.md, section 3). */

import { X_MTE_RELAY, X_MTE_RELAY_EH } from "./names.js";

const HOP_BY_HOP: readonly string[] = [
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** Whether a header, named in lower case, belongs to one connection only. */
export function isHopByHop(name: string): boolean {
  return HOP_BY_HOP.includes(name);
}

/** The header names, in lower case, that a value of `connection` makes hop-by-hop. */
export function connectionNames(value: string | null): string[] {
  return (value ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
}

const TAKEN_FROM_CLEAR: readonly string[] = [
  "accept-language",
  "b3",
  "baggage",
  "cookie",
  "forwarded",
  "origin",
  "priority",
  "referer",
  "traceparent",
  "tracestate",
  "user-agent",
  "via",
  "x-request-id",
];
const TAKEN_PREFIXES: readonly string[] = ["sec-", "x-b3-", "x-forwarded-"];

/**
 * Whether a relay accepts a request header, named in lower case, from the clear part of a request that has `:method`:
 * browsers and proxies add these themselves. It drops every other clear header, so those must be sealed.
 */
export function isTakenFromClear(name: string): boolean {
  return TAKEN_FROM_CLEAR.includes(name) || TAKEN_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** Whether a request header, named in lower case, is never forwarded to the upstream. */
export function isNeverForwarded(name: string): boolean {
  return (
    isHopByHop(name) ||
    ["content-length", "host", X_MTE_RELAY, X_MTE_RELAY_EH].includes(name) ||
    name.startsWith(":") ||
    name.startsWith("x-mte-outbound-")
  );
}
