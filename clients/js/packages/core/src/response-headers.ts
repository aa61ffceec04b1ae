/**
 * Which response headers are sealed, and which stay in the clear (docs/protocol.md, section 4). The relay seals by
 * these rules, and our clients ignore clear headers that should have been sealed.
 */

import { X_MTE_RELAY, X_MTE_RELAY_EH } from "./names.js";

/** In a request's sealed headers: the response headers to seal. */
export const RESPONSE_HEADERS = ":response-headers";

/** Which response headers a request asks to seal: every header that can be sealed, or names in lower case. */
export type ResponseHeaders = "*" | readonly string[];

/** They describe the plaintext body or control its caching, so they are sealed whatever the request asks for. */
const DESCRIBE_THE_BODY: readonly string[] = [
  "accept-ranges",
  "age",
  "cache-control",
  "content-digest",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-md5",
  "content-range",
  "content-type",
  "digest",
  "edge-control",
  "etag",
  "expires",
  "last-modified",
  "pragma",
  "repr-digest",
  "surrogate-control",
  "vary",
  "x-accel-expires",
];

/** Browsers and proxies act on these, so they are never sealed. */
const STAY_CLEAR: readonly string[] = [
  "alt-svc",
  "date",
  "set-cookie",
  "strict-transport-security",
  "timing-allow-origin",
  "x-request-id",
  X_MTE_RELAY,
  X_MTE_RELAY_EH,
];

/** Whether a response header, named in lower case, is sealed whatever the request asks for. */
export function describesBody(name: string): boolean {
  return DESCRIBE_THE_BODY.includes(name) || name.endsWith("-cache-control");
}

/** Whether a response header, named in lower case, is never sealed. */
export function staysClear(name: string): boolean {
  return STAY_CLEAR.includes(name) || name.startsWith("access-control-") || name.startsWith("cross-origin-");
}
