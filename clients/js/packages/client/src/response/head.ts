/**
 * Opening a response's sealed headers (docs/protocol.md, section 4). The sealed headers are required. They must name
 * this response's status and this request, and their place says whether a body follows. The outer flags are not even
 * read, since an attacker on the path could have forged them.
 */

import {
  type EncodeType,
  followingOf,
  fromBase64,
  messageType,
  place,
  placeFits,
  type ResponseHeaders,
  readHeaderMap,
  UNKNOWN_FOLLOWING,
  X_MTE_RELAY_EH,
} from "@mte-relay/core";
import type { Reached } from "../codec/decoder.js";
import { openMessage } from "../codec/open.js";
import { doesNotOpen, refused } from "../errors.js";
import type { Part } from "../observe.js";
import type { Ticket } from "../pair/pair.js";
import { composeHeaders } from "./headers.js";

/** What is needed from the request to check its response. */
export interface RequestFacts {
  ticket: Ticket;
  encodeType: EncodeType;
  /** The number of its first message. */
  first: number;
  sealedNames: ReadonlySet<string>;
  responseHeaders: ResponseHeaders;
}

/** The expectations for a body that the sealed headers announce. */
export interface AnnouncedBody {
  number: number;
  /** The secret for its number, derived in advance: the epoch may be dropped meanwhile. */
  reached: Reached;
  /** The length in bytes, if the sealed headers contain it. */
  length: number | undefined;
}

/** A response whose sealed headers verified. */
export interface OpenedHead {
  /** The sealed headers, and the accepted clear ones. */
  headers: Headers;
  /** The headers that were sealed. */
  sealed: ReadonlyMap<string, string>;
  part: Part;
  /** The body that follows; undefined if none does. */
  body: AnnouncedBody | undefined;
}

const DO_NOT_OPEN = "its sealed headers do not open";

/** Opens the sealed headers and commits their number, and an announced body's. Throws a MteRelayError. */
export async function openHead(response: Response, facts: RequestFacts): Promise<OpenedHead> {
  const { decoder } = facts.ticket.pair;
  const { encodeType, first } = facts;
  const type = messageType(encodeType);
  let opened: Awaited<ReturnType<typeof openMessage>>;
  let sealed: Map<string, string>;
  let wireLength: number;
  try {
    const message = fromBase64(response.headers.get(X_MTE_RELAY_EH) ?? "");
    wireLength = message.length;
    const fits = (got: number) => placeFits(got, place(0, 0)) || placeFits(got, place(0, 1));
    opened = await openMessage(decoder, { type, fits }, message);
    sealed = readHeaderMap(opened.plaintext);
  } catch (cause) {
    throw doesNotOpen("sealed-headers", DO_NOT_OPEN, cause);
  }
  checkBinding(":status", sealed, String(response.status));
  checkBinding(":request", sealed, String(first));

  const { number, place: at } = opened.header;
  const following = followingOf(at);
  if (following === UNKNOWN_FOLLOWING) {
    throw refused("unknown-body", "its sealed headers do not say whether a body follows; update the relay");
  }
  const length = following === 0 ? undefined : bodyLength(sealed.get("content-length"));
  let body: AnnouncedBody | undefined;
  try {
    if (following === 0) {
      decoder.commit(number, 1, opened.reached);
    } else {
      // The body's number is committed as well: no other response can use it.
      const reached = await decoder.reach(number + 1);
      decoder.commit(number, 2, reached);
      body = { number: number + 1, reached, length };
    }
  } catch (cause) {
    throw doesNotOpen("sealed-headers", DO_NOT_OPEN, cause);
  }
  const plainLength = opened.plaintext.length;
  return {
    headers: composeHeaders(response.headers, sealed, { ...facts, hasBody: body !== undefined }),
    sealed,
    part: { kind: "headers", number, place: at, encodeType, plainLength, wireLength },
    body,
  };
}

function checkBinding(name: string, sealed: ReadonlyMap<string, string>, expected: string): void {
  const got = sealed.get(name);
  if (got === expected) return;
  if (got === undefined)
    throw refused("not-bound", `its sealed headers do not bind it to the request: no ${name}`);
  throw refused("other-exchange", `it belongs to another exchange: ${name} is ${got}, expected ${expected}`);
}

function bodyLength(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[0-9]{1,15}$/.test(text)) throw refused("sealed-headers", "its content-length is not a number");
  return Number(text);
}
