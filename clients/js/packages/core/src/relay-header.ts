/** The `x-mte-relay` header (docs/protocol.md, section 1). */

import type { EncodeType } from "./names.js";

/** Its fields, as a client sends them: six, or seven with `streaming`. */
export interface RelayHeader {
  clientId: string;
  pairId: string;
  encodeType: EncodeType;
  urlEncoded: boolean;
  headersEncoded: boolean;
  bodyEncoded: boolean;
  /** Echoed by the relay, no other effect. */
  streaming?: string;
}

/** Writes the value. */
export function formatRelayHeader(header: RelayHeader): string {
  const flag = (set: boolean) => (set ? "1" : "0");
  const fields = [
    header.clientId,
    header.pairId,
    flag(header.encodeType !== "MTE"),
    flag(header.urlEncoded),
    flag(header.headersEncoded),
    flag(header.bodyEncoded),
  ];
  if (header.streaming !== undefined) fields.push(header.streaming);
  return fields.join(",");
}

/** Reads a value of six or seven fields; undefined if it is not one. */
export function parseRelayHeader(value: string): RelayHeader | undefined {
  const [clientId, pairId, type, url, headers, body, streaming, ...more] = value.trim().split(",");
  if (!clientId || !pairId || body === undefined || more.length > 0) return undefined;
  return {
    clientId,
    pairId,
    encodeType: type === "0" ? "MTE" : "MKE",
    urlEncoded: url === "1",
    headersEncoded: headers === "1",
    bodyEncoded: body === "1",
    ...(streaming === undefined ? {} : { streaming }),
  };
}

/** The signed client id of a control response: the value alone, or the first field of a list. */
export function controlClientId(value: string | null): string | undefined {
  const id = value?.trim().split(",", 1)[0];
  return id !== undefined && id !== "null" && isOpaque(id) ? id : undefined;
}

/** Whether a text may be a pair id, a personalization string or a client id: visible ASCII without a comma. */
export function isOpaque(text: string): boolean {
  return /^[!-+\--~]{1,256}$/.test(text);
}
