/** Sealing a request's URL and headers, and reserving its body's number (docs/protocol.md, section 3). */

import {
  connectionNames,
  formatRelayHeader,
  fromUtf8,
  isNeverForwarded,
  messageLength,
  messageType,
  OCTET_STREAM,
  ProtocolError,
  place,
  RESPONSE_HEADERS,
  type ResponseHeaders,
  toBase64,
  toPathSegment,
  utf8,
  writeHeaderMap,
  X_MTE_RELAY,
  X_MTE_RELAY_EH,
} from "@mte-relay/core";
import type { Slot } from "../codec/encoder.js";
import { sealMessage } from "../codec/seal.js";
import { MteRelayError } from "../errors.js";
import type { HeaderList, Part } from "../observe.js";
import type { RequestRules } from "../options.js";
import type { Pair, Ticket } from "../pair/pair.js";
import { type Body, bodyLength } from "./body.js";

/** What is sealed. */
export interface PlainHead {
  method: string;
  url: URL;
  headers: Headers;
  body: Body | undefined;
}

/** A request whose URL and headers are sealed, and whose body is sealed next. */
export interface SealedHead {
  /** The URL on the wire. */
  url: string;
  /** The headers on the wire, except those that HTTP itself adds. */
  headers: HeaderList;
  /** The reserved number and secret for the body, if there is one. */
  body: { slot: Slot; place: number } | undefined;
  /** Names that were sealed: the response's headers of these names come back sealed. */
  sealedNames: ReadonlySet<string>;
  /** The plaintext of the sealed header map. */
  headerMap: string;
  parts: Part[];
  /** The number of the first message. */
  first: number;
  ticket: Ticket;
}

/** Reserves numbers of `pair` and seals. Throws a MteRelayError. */
export async function sealHead(pair: Pair, rules: RequestRules, plain: PlainHead): Promise<SealedHead> {
  const split = splitHeaders(rules, plain);
  const count = (rules.encodeUrl ? 1 : 0) + 1 + (plain.body ? 1 : 0);
  const { slots, ticket } = pair.begin(count);
  try {
    const type = messageType(rules.encodeType);
    const parts: Part[] = [];
    const seal = (kind: Part["kind"], index: number, text: Uint8Array<ArrayBuffer>) => {
      const { number } = slots[index]!;
      const at = place(index, count - 1 - index);
      const wireLength = messageLength(type, text.length);
      parts.push({
        kind,
        number,
        place: at,
        encodeType: rules.encodeType,
        plainLength: text.length,
        wireLength,
      });
      return sealMessage(slots[index]!, type, at, text);
    };
    const path = plain.url.pathname + plain.url.search;
    const base = plain.url.origin + rules.pathPrefix;
    const headersAt = rules.encodeUrl ? 1 : 0;
    const [sealedUrl, sealedMap] = await Promise.all([
      rules.encodeUrl ? seal("url", 0, utf8(path.slice(1))) : undefined,
      seal("headers", headersAt, split.map),
    ]);
    const body = plain.body ? { slot: slots[count - 1]!, place: place(count - 1, 0, true) } : undefined;
    if (body && plain.body) {
      const plainLength = bodyLength(plain.body);
      const wireLength = plainLength === undefined ? undefined : messageLength(type, plainLength);
      const { number } = body.slot;
      parts.push({
        kind: "body",
        number,
        place: body.place,
        encodeType: rules.encodeType,
        plainLength,
        wireLength,
      });
    }
    const relayHeader = formatRelayHeader({
      clientId: pair.clientId,
      pairId: pair.id,
      encodeType: rules.encodeType,
      urlEncoded: rules.encodeUrl,
      headersEncoded: true,
      bodyEncoded: body !== undefined,
    });
    const headers: HeaderList = [
      ...split.clear,
      [X_MTE_RELAY, relayHeader],
      [X_MTE_RELAY_EH, toBase64(sealedMap)],
    ];
    if (body) headers.push(["content-type", OCTET_STREAM]);
    return {
      url: sealedUrl ? `${base}/${toPathSegment(sealedUrl)}` : base + path,
      headers,
      body,
      sealedNames: split.sealedNames,
      headerMap: fromUtf8(split.map),
      parts,
      first: slots[0]!.number,
      ticket,
    };
  } catch (error) {
    ticket.release();
    throw error;
  }
}

/** The value of `:response-headers`. */
function responseHeadersValue(wanted: ResponseHeaders): string {
  return wanted === "*" ? wanted : wanted.join(",");
}

interface Split {
  clear: HeaderList;
  map: Uint8Array<ArrayBuffer>;
  sealedNames: Set<string>;
}

function splitHeaders(rules: RequestRules, { method, url, headers, body }: PlainHead): Split {
  const clear: HeaderList = [];
  const sealed: HeaderList = [
    [":method", method],
    [":authority", url.host],
  ];
  const wanted = responseHeadersValue(rules.responseHeaders);
  if (wanted !== "") sealed.push([RESPONSE_HEADERS, wanted]);
  const sealedNames = new Set<string>();
  const ofConnection = connectionNames(headers.get("connection"));
  for (const [name, value] of headers) {
    if (isNeverForwarded(name) || ofConnection.includes(name)) continue;
    if (rules.seals(name)) {
      sealed.push([name, value]);
      sealedNames.add(name);
    } else {
      clear.push([name, value]);
    }
  }
  const length = body && bodyLength(body);
  if (length !== undefined) sealed.push(["content-length", String(length)]);
  try {
    return { clear, map: writeHeaderMap(sealed), sealedNames };
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    throw new MteRelayError("request", cause.message, { cause });
  }
}
