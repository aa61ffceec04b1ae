/**
 * Opening a response's sealed headers (docs/protocol.md, section 4). The sealed headers decide: they must be there,
 * name this response's status and this request, and their place says whether a body follows. The outer flags are not
 * even read, since whoever carries the response could have written them.
 */

import {
  connectionNames,
  type EncodeType,
  followingOf,
  fromBase64,
  isHopByHop,
  messageType,
  place,
  placeFits,
  readHeaderMap,
  UNKNOWN_FOLLOWING,
  X_MTE_RELAY,
  X_MTE_RELAY_EH,
} from "@mte-relay/core";
import type { Secrets } from "../codec/decoder.js";
import { openMessage } from "../codec/open.js";
import { MteRelayError, responseError } from "../errors.js";
import type { Part } from "../observe.js";
import type { Ticket } from "../pair/pair.js";

/** What the request that this is the response to had. */
export interface RequestFacts {
  ticket: Ticket;
  encodeType: EncodeType;
  /** The number of its first message. */
  first: number;
  sealedNames: ReadonlySet<string>;
}

/** Whether a body follows, as the sealed headers say. */
export type Announced = "none" | "body" | "unknown";

/** A response whose sealed headers verified. */
export interface OpenedHead {
  /** The sealed ones in place of the outer ones. */
  headers: Headers;
  /** What was sealed. */
  sealed: ReadonlyMap<string, string>;
  part: Part;
  announced: Announced;
  /** The number that the body must have. */
  bodyNumber: number;
  /** The secret for it. An announced body's number is taken already, and its epoch may be forgotten meanwhile. */
  bodySecrets: Secrets;
  /** The body's length, if the sealed headers have it. */
  length: number | undefined;
}

/** Opens the sealed headers and takes their number, and an announced body's. Throws a MteRelayError. */
export async function openHead(response: Response, facts: RequestFacts): Promise<OpenedHead> {
  const { decoder } = facts.ticket.pair;
  const type = messageType(facts.encodeType);
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
    throw responseError("its sealed headers do not open", cause);
  }
  checkBinding(":status", sealed, String(response.status));
  checkBinding(":request", sealed, String(facts.first));

  const { number, place: at } = opened.header;
  const following = followingOf(at);
  const announced = following === 0 ? "none" : following === UNKNOWN_FOLLOWING ? "unknown" : "body";
  let bodySecrets: Secrets = decoder;
  try {
    if (announced === "body") {
      // Its number is taken along: nothing but this response can have it.
      const reached = await decoder.reach(number + 1);
      decoder.commit(number, 2, reached);
      bodySecrets = { reach: async () => reached };
    } else {
      decoder.commit(number, 1, opened.reached);
    }
  } catch (cause) {
    throw responseError("its sealed headers do not open", cause);
  }
  const length = announced === "none" ? undefined : bodyLength(sealed.get("content-length"));
  const plainLength = opened.plaintext.length;
  const { encodeType } = facts;
  return {
    headers: compose(response.headers, sealed, facts.sealedNames, announced === "none"),
    sealed,
    part: { kind: "headers", number, place: at, encodeType, plainLength, wireLength },
    announced,
    bodyNumber: number + 1,
    bodySecrets,
    length,
  };
}

function checkBinding(name: string, sealed: ReadonlyMap<string, string>, expected: string): void {
  const got = sealed.get(name);
  if (got === expected) return;
  const reason =
    got === undefined
      ? `its sealed headers do not bind it to the request: no ${name}`
      : `it belongs elsewhere: ${name} is ${got}, expected ${expected}`;
  throw new MteRelayError("response", `the response was refused: ${reason}`);
}

function bodyLength(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[0-9]{1,15}$/.test(text)) {
    throw new MteRelayError("response", "the response was refused: its content-length is not a number");
  }
  return Number(text);
}

function compose(
  outer: Headers,
  sealed: ReadonlyMap<string, string>,
  sealedNames: ReadonlySet<string>,
  bodiless: boolean,
): Headers {
  const headers = new Headers(outer);
  const ofConnection = connectionNames(outer.get("connection"));
  for (const name of new Set(outer.keys())) {
    const forged = name !== "set-cookie" && sealedNames.has(name);
    // The outer length is the ciphertext's; without a body (HEAD, 304) it is the upstream's.
    const length = name === "content-length" && !bodiless;
    const relays = name === "content-type" || name === X_MTE_RELAY || name === X_MTE_RELAY_EH;
    if (forged || length || relays || isHopByHop(name) || ofConnection.includes(name)) headers.delete(name);
  }
  for (const [name, value] of sealed) {
    if (!name.startsWith(":") && !isHopByHop(name)) headers.set(name, value);
  }
  return headers;
}
