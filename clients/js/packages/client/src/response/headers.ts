/**
 * The headers of an opened response: the sealed ones, and only those clear ones that the relay does not seal
 * (docs/protocol.md, section 4). A header that an attacker on the path adds in place of a sealed one is ignored.
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

/** The rules for which clear headers are accepted. */
export interface HeaderFacts {
  /** Headers that were sealed in the request: the response seals headers of the same names. */
  sealedNames: ReadonlySet<string>;
  /** The response headers that the request asked to seal. */
  responseHeaders: ResponseHeaders;
  hasBody: boolean;
}

/** The sealed headers, and the accepted ones of `outer`. */
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
  // The outer length is that of the ciphertext; without a body (HEAD, 304) it is the upstream's.
  if (name === "content-length") return !hasBody;
  return !sealedNames.has(name) && !responseHeaders.includes(name);
}
