/**
 * The headers of an opened response: what was sealed, and of the clear part only what the relay does not seal
 * (docs/protocol.md, section 4). A header that an attacker on the way adds in place of a sealed one never counts.
 */

import {
  connectionNames,
  describesBody,
  isHopByHop,
  type ResponseHeaders,
  staysClear,
  X_MTE_RELAY,
  X_MTE_RELAY_EH,
} from "@mte-relay/core";

/** What decides which clear headers count. */
export interface HeaderFacts {
  /** Headers that were sealed in the request: those of the response come back sealed. */
  sealedNames: ReadonlySet<string>;
  /** What the request asked to be sealed. */
  responseHeaders: ResponseHeaders;
  hasBody: boolean;
}

/** The sealed headers, and those of `outer` that count. */
export function composeHeaders(
  outer: Headers,
  sealed: ReadonlyMap<string, string>,
  facts: HeaderFacts,
): Headers {
  const headers = new Headers(outer);
  const ofConnection = connectionNames(outer.get("connection"));
  for (const name of new Set(outer.keys())) {
    if (isOfTheHop(name) || ofConnection.includes(name) || !countsInClear(name, facts)) headers.delete(name);
  }
  for (const [name, value] of sealed) {
    if (!name.startsWith(":") && !isOfTheHop(name)) headers.set(name, value);
  }
  return headers;
}

function isOfTheHop(name: string): boolean {
  return isHopByHop(name) || name === X_MTE_RELAY || name === X_MTE_RELAY_EH;
}

function countsInClear(name: string, { sealedNames, responseHeaders, hasBody }: HeaderFacts): boolean {
  if (staysClear(name)) return true;
  if (responseHeaders === "*" || describesBody(name)) return false;
  // The outer length is the ciphertext's; without a body (HEAD, 304) it is the upstream's.
  if (name === "content-length") return !hasBody;
  return !sealedNames.has(name) && !responseHeaders.includes(name);
}
