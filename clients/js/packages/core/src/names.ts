/** Header and route names, and the relay's own statuses (docs/protocol.md, sections 1, 2 and 5). */

export const X_MTE_RELAY = "x-mte-relay";
export const X_MTE_RELAY_EH = "x-mte-relay-eh";
export const OCTET_STREAM = "application/octet-stream";

export const ROUTE_HELLO = "/api/mte-relay";
export const ROUTE_PAIR = "/api/mte-pair";
export const ROUTE_ECHO = "/api/mte-echo";

/** Message types (docs/codec.md, section 4). */
export const MKE = 1;
export const MTE = 2;
export type MessageType = typeof MKE | typeof MTE;

/** The encode type as users of the relay name it. */
export type EncodeType = "MKE" | "MTE";

/** The message type of an encode type. */
export function messageType(encodeType: EncodeType): MessageType {
  return encodeType === "MTE" ? MTE : MKE;
}

/** The relay's own statuses: from the first to the last. All but the last make a client pair again. */
export const FIRST_RELAY_STATUS = 559;
export const LAST_RELAY_STATUS = 569;

/** The relay does not have the pair. */
export const STATUS_NO_PAIR = 560;

/** The relay does not accept the client id. */
export const STATUS_CLIENT_ID = 566;

/** The relay's own statuses and their texts. */
export const RELAY_STATUS_TEXT: Readonly<Record<number, string>> = {
  559: "pair must be renewed",
  560: "no such pair",
  561: "encode failed",
  562: "decode failed",
  563: "pair state could not be read",
  564: "pair is used up",
  566: "client id does not verify",
  567: "decoder state could not be saved",
  568: "encoder state could not be saved",
  569: "x-mte-relay, client id or pair id is missing",
};
