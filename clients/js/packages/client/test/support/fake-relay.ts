/**
 * A minimal relay for what a real one does not do: it answers as a test says, and records what it received. It is the
 * server side of docs/protocol.md without tenants, limits or an upstream.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import {
  type Bytes,
  describesBody,
  fromBase64,
  kemInfoOf,
  type MessageType,
  MKE,
  MTE,
  parseRelayHeader,
  place,
  type RelayHeader,
  readHeaderMap,
  staysClear,
  toBase64,
  utf8,
  writeHeaderMap,
} from "@mte-relay/core";
import { Decoder } from "../../src/codec/decoder.js";
import { Encoder, type Slot } from "../../src/codec/encoder.js";
import { openMessage } from "../../src/codec/open.js";
import { entropyOf, epochKey, rootSecret } from "../../src/codec/schedule.js";
import { sealMessage } from "../../src/codec/seal.js";
import { nobleMlKem } from "../../src/crypto/kem.js";
import { close, listen } from "./upstream.js";

/** A request as the fake relay opened it. */
export interface Opened {
  method: string;
  url: string;
  headers: Map<string, string>;
  outer: IncomingMessage["headers"];
  relayHeader: RelayHeader;
  body: Bytes;
  /** The number of its first message. */
  first: number;
}

/** How to answer: every field has a correct default. */
export interface Answer {
  status?: number;
  /** The upstream's headers; the relay's rules decide which are sealed. */
  headers?: Record<string, string>;
  /** In the clear, in violation of the rules, as an attacker would send them. */
  outer?: Record<string, string | string[]>;
  body?: string | Uint8Array;
  /** What the headers' place says about the body: 0, 1 or, in violation of the rules, 15. */
  following?: number;
  /** What the body's own place says about what follows: 0 or, in violation of the rules, 15. */
  bodyFollowing?: number;
  /** Sends no body, whatever the headers say. */
  withoutBody?: boolean;
  /** Instead of `:status` and `:request`. */
  binding?: Record<string, string>;
  /** Changes the sealed parts in transit. */
  tamper?: (sealed: { headers: string; body: Bytes | undefined }) => {
    headers?: string | string[];
    body?: Bytes;
  };
  /** The outer flags, instead of the correct ones. */
  flags?: string;
  /** Waits before the head is sent. */
  before?: Promise<unknown>;
  /** Sends the body in chunks of this size. */
  pieces?: number;
  /** Closes the connection after the body, as if it were truncated. */
  destroy?: boolean;
}

/** A plain answer in place of a sealed one. */
export interface PlainAnswer {
  plain: number;
  body?: string;
  outer?: Record<string, string>;
}

interface ServedPair {
  clientId: string;
  decoder: Decoder;
  encoder: Encoder;
}

export class FakeRelay {
  /** Called for every request that was opened. */
  answer: (request: Opened) => Answer | PlainAnswer | Promise<Answer | PlainAnswer> = (request) => ({
    body: `${request.method} ${request.url}`,
    headers: { "content-type": "text/plain" },
  });
  /** Answers for the next encrypted requests, which are then not opened. */
  refusals: number[] = [];
  /** Changes the answer to a pairing. */
  pairingAnswer: (json: string) => string | number = (json) => json;
  /** Waits before a pairing is answered. */
  beforePairing: Promise<unknown> | undefined;
  hellos = 0;
  pairings: { clientId: string; count: number }[] = [];
  requests: Opened[] = [];
  pairs = new Map<string, ServedPair>();
  url = "";
  #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      response.on("error", () => {});
      this.#serve(request, response).catch((error) => {
        if (!response.headersSent) response.writeHead(500);
        response.end(String(error));
      });
    });
  }

  static async start(): Promise<FakeRelay> {
    const relay = new FakeRelay();
    relay.url = `http://127.0.0.1:${await listen(relay.#server)}`;
    return relay;
  }

  stop(): Promise<void> {
    return close(this.#server);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === "/api/mte-relay") {
      this.hellos++;
      response.writeHead(200, { "x-mte-relay": `client-${this.hellos}.sig` }).end();
      return;
    }
    const body = await read(request);
    if (request.url === "/api/mte-pair") return this.#pair(request, body, response);
    const refusal = this.refusals.shift();
    if (refusal !== undefined) return plain(response, { plain: refusal });
    const header = parseRelayHeader(String(request.headers["x-mte-relay"]));
    if (header === undefined) return void response.writeHead(200).end("some web server");
    const pair = this.pairs.get(header.pairId);
    if (pair === undefined) return plain(response, { plain: 560 });
    let opened: Opened;
    try {
      opened = await this.#open(request, header, pair, body);
    } catch {
      return plain(response, { plain: 562 });
    }
    this.requests.push(opened);
    const answer = await this.answer(opened);
    if ("plain" in answer) return plain(response, answer);
    await this.#respond(response, pair, opened, answer);
  }

  async #pair(request: IncomingMessage, body: Bytes, response: ServerResponse): Promise<void> {
    const clientId = String(request.headers["x-mte-relay"]);
    const rows = JSON.parse(new TextDecoder().decode(body)) as Record<string, string>[];
    this.pairings.push({ clientId, count: rows.length });
    const answers = [];
    for (const row of rows) {
      const c2s = await encapsulated(row.encoderPublicKey!, "17", row.encoderPersonalizationStr!);
      const s2c = await encapsulated(row.decoderPublicKey!, "4711", row.decoderPersonalizationStr!);
      const { pairId } = row;
      this.pairs.set(pairId!, { clientId, decoder: new Decoder(c2s.root), encoder: new Encoder(s2c.root) });
      answers.push({
        pairId,
        encoderNonce: "4711",
        encoderSecret: s2c.ciphertext,
        decoderNonce: "17",
        decoderSecret: c2s.ciphertext,
      });
    }
    await this.beforePairing;
    const answer = this.pairingAnswer(JSON.stringify(answers));
    if (typeof answer === "number") return plain(response, { plain: answer });
    response.writeHead(200, { "content-type": "application/json" }).end(answer);
  }

  async #open(request: IncomingMessage, header: RelayHeader, pair: ServedPair, body: Bytes): Promise<Opened> {
    const type: MessageType = header.encodeType === "MTE" ? MTE : MKE;
    const present = [header.urlEncoded, header.headersEncoded, header.bodyEncoded].filter(Boolean).length;
    let index = 0;
    let first = -1;
    const take = async (message: Bytes, raw = false) => {
      const expected = place(index, present - 1 - index, raw);
      const opened = await openMessage(pair.decoder, { type, fits: (at) => at === expected }, message);
      pair.decoder.commit(opened.header.number, 1, opened.reached);
      if (index++ === 0) first = opened.header.number;
      return opened.plaintext;
    };
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    const url = header.urlEncoded
      ? `/${text(await take(fromBase64(decodeURIComponent(request.url!.slice(1)))))}`
      : request.url!;
    const headers = readHeaderMap(await take(fromBase64(String(request.headers["x-mte-relay-eh"]))));
    const plaintext = header.bodyEncoded ? await take(body, true) : new Uint8Array();
    if (!header.bodyEncoded && body.length > 0) throw new Error("a body in the clear");
    return {
      method: request.method!,
      url,
      headers,
      outer: request.headers,
      relayHeader: header,
      body: plaintext,
      first,
    };
  }

  async #respond(response: ServerResponse, pair: ServedPair, request: Opened, answer: Answer): Promise<void> {
    const status = answer.status ?? 200;
    const bodiless =
      request.method === "HEAD" || status === 204 || status === 304 || answer.body === undefined;
    const following = answer.following ?? (bodiless ? 0 : 1);
    const type: MessageType = request.relayHeader.encodeType === "MTE" ? MTE : MKE;
    const [headersSlot, bodySlot] = pair.encoder.reserve(2) as [Slot, Slot];
    const binding = answer.binding ?? { ":status": String(status), ":request": String(request.first) };
    const split = splitHeaders(request, answer.headers ?? {});
    const map = writeHeaderMap([...split.sealed, ...Object.entries(binding)]);
    let headers: string | string[] = toBase64(await sealMessage(headersSlot, type, place(0, following), map));
    const withBody = !bodiless && following !== 0;
    const plaintext = typeof answer.body === "string" ? utf8(answer.body) : (answer.body ?? new Uint8Array());
    let body = withBody
      ? await sealMessage(bodySlot, type, place(1, answer.bodyFollowing ?? 0, true), plaintext as Bytes)
      : answer.body === undefined
        ? undefined
        : (plaintext as Bytes);
    if (answer.tamper) {
      const changed = answer.tamper({ headers, body });
      headers = changed.headers ?? headers;
      body = changed.body ?? body;
    }
    await answer.before;
    response.writeHead(status, {
      ...Object.fromEntries(split.clear),
      "content-type": "application/octet-stream",
      "cache-control": "no-store",
      "x-mte-relay": `${pair.clientId},p,${answer.flags ?? `1,0,1,${withBody ? 1 : 0}`},0`,
      "x-mte-relay-eh": headers,
      ...answer.outer,
    });
    response.flushHeaders();
    if (body && !answer.withoutBody && request.method !== "HEAD") {
      const size = answer.pieces ?? body.length;
      for (let at = 0; at < body.length; at += size) {
        response.write(body.subarray(at, at + size));
        if (answer.pieces) await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
    if (answer.destroy) setTimeout(() => response.destroy(), 20);
    else response.end();
  }
}

type Split = Record<"sealed" | "clear", [string, string][]>;

/** Which of an upstream's headers are sealed (docs/protocol.md, section 4). */
function splitHeaders(request: Opened, headers: Record<string, string>): Split {
  const wanted = request.headers.get(":response-headers") ?? "";
  const isSealed = (name: string) =>
    !staysClear(name) &&
    (wanted === "*" || wanted.split(",").includes(name) || describesBody(name) || request.headers.has(name));
  const split: Split = { sealed: [], clear: [] };
  for (const [name, value] of Object.entries(headers)) {
    split[isSealed(name) ? "sealed" : "clear"].push([name, value]);
  }
  return split;
}

async function encapsulated(key: string, nonce: string, personalization: string) {
  const encapsulationKey = fromBase64(key);
  const { id } = kemInfoOf("ml-kem-768");
  const kem = nobleMlKem("ml-kem-768") as unknown as {
    encapsulate(key: Uint8Array): { cipherText: Uint8Array; sharedSecret: Uint8Array };
  };
  const { cipherText, sharedSecret } = kem.encapsulate(encapsulationKey);
  const entropy = await entropyOf(id, sharedSecret, encapsulationKey, cipherText);
  const root = await epochKey(await rootSecret(entropy, { nonce, personalization }));
  return { root, ciphertext: toBase64(cipherText) };
}

function plain(response: ServerResponse, { plain: status, body, outer }: PlainAnswer): void {
  const json = JSON.stringify({ error: `error ${status}`, status, request_id: "r-1" });
  response.writeHead(status, { "content-type": "application/json", ...outer }).end(body ?? json);
}

async function read(request: IncomingMessage): Promise<Bytes> {
  const pieces: Buffer[] = [];
  for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
  return new Uint8Array(Buffer.concat(pieces));
}
