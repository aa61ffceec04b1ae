/**
 * A version 4 client of the relay, reduced to its use of the `mte` module: pools of endpoints, base64 states in a store
 * that is read and written with an await in between, and one of two ways to encode.
 *
 * - "rehearsing": encode an empty text per item, save the next state, restore the one before, encode the items.
 * - "saving": encode URL and headers, wait for the body, encode it, save the state.
 *
 * Neither prevents concurrent requests from restoring the same state. The client never retries.
 */

import { randomBytes, randomUUID } from "node:crypto";
import {
  type MteBase,
  MteDec,
  MteEnc,
  MteKyber,
  MteKyberStatus,
  MteKyberStrength,
  MteMkeDec,
  MteMkeEnc,
  type MteStatus,
  MteWasm,
} from "../../src/index.js";

export interface V4Options {
  type: "MKE" | "MTE";
  way: "rehearsing" | "saving";
  pairs: number;
  strength?: MteKyberStrength;
}

export interface V4Request {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  /** Chunks are sent as they are encoded. */
  body?: Uint8Array | Uint8Array[];
  /** Decode the response in chunks. */
  streamed?: boolean;
}

export interface V4Response {
  status: number;
  headers: Headers;
  body: Uint8Array;
}

interface Keys {
  pairId: string;
  encoder: { kyber: MteKyber; personalization: string; key: Uint8Array };
  decoder: { kyber: MteKyber; personalization: string; key: Uint8Array };
}

type Sealed = { path: string; headers: string; body: BodyInit | null };

const b64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const pause = () => new Promise((done) => setTimeout(done, Math.random() * 3));

export class V4Client {
  readonly #origin: string;
  readonly #options: V4Options;
  readonly #wasm = new MteWasm();
  readonly #states = new Map<string, string>();
  readonly #encoders: (MteEnc | MteMkeEnc)[] = [];
  readonly #decoders: (MteDec | MteMkeDec)[] = [];
  readonly #pairIds: string[] = [];
  #clientId = "";
  #turn = 0;

  constructor(origin: string, options: V4Options) {
    this.#origin = origin;
    this.#options = options;
  }

  /** Asks for a client id and makes the pairs. */
  async pair(): Promise<void> {
    await this.#wasm.instantiate();
    const hello = await fetch(`${this.#origin}/api/mte-relay`, { method: "HEAD" });
    this.#clientId = hello.headers.get("x-mte-relay")!;
    const keys = Array.from({ length: this.#options.pairs }, () => this.#newKeys());
    const response = await fetch(`${this.#origin}/api/mte-pair`, {
      method: "POST",
      headers: { "x-mte-relay": this.#clientId, "content-type": "application/json" },
      body: JSON.stringify(
        keys.map(({ pairId, encoder, decoder }) => ({
          pairId,
          encoderPublicKey: b64(encoder.key),
          encoderPersonalizationStr: encoder.personalization,
          decoderPublicKey: b64(decoder.key),
          decoderPersonalizationStr: decoder.personalization,
        })),
      ),
    });
    if (!response.ok) throw new Error(`pairing: ${response.status} ${await response.text()}`);
    const answers = (await response.json()) as Record<string, string>[];
    answers.forEach((answer, at) => {
      const { pairId, encoder, decoder } = keys[at]!;
      this.#begin(`encoder.${pairId}`, this.#encoder(), encoder, answer.decoderSecret!, answer.decoderNonce!);
      this.#begin(`decoder.${pairId}`, this.#decoder(), decoder, answer.encoderSecret!, answer.encoderNonce!);
      this.#pairIds.push(pairId);
    });
  }

  /** Sends a request; everything is encoded, and everything that is encoded in the response is decoded. */
  async send(request: V4Request): Promise<V4Response> {
    const pairId = this.#pairIds[this.#turn++ % this.#pairIds.length]!;
    const { type } = this.#options;
    const sealed = await this.#encode(pairId, request);
    const hasBody = sealed.body !== null;
    const flags = [type === "MTE" ? 0 : 1, 1, 1, hasBody ? 1 : 0, request.streamed ? 1 : 0];
    const response = await fetch(`${this.#origin}/${encodeURIComponent(sealed.path)}`, {
      method: request.method ?? (hasBody ? "POST" : "GET"),
      headers: {
        "x-mte-relay": [this.#clientId, pairId, ...flags].join(","),
        "x-mte-relay-eh": sealed.headers,
        "content-type": "application/octet-stream",
      },
      body: sealed.body,
      ...(sealed.body instanceof ReadableStream ? { duplex: "half" } : {}),
    } as RequestInit);
    if (response.status >= 559 && response.status <= 569) {
      throw new Error(`the relay refused: ${response.status} ${await response.text()}`);
    }
    return this.#decode(response, request.streamed === true);
  }

  async #encode(pairId: string, request: V4Request): Promise<Sealed> {
    const id = `encoder.${pairId}`;
    await pause();
    const before = this.#states.get(id)!;
    const encoder = this.#encoders.pop() ?? this.#encoder();
    check(encoder, encoder.restoreStateB64(before));
    const items = request.body === undefined ? 2 : 3;
    if (this.#options.way === "rehearsing") {
      for (let item = 0; item < items; item++) check(encoder, encoder.encodeStr("").status);
      const next = encoder.saveStateB64()!;
      await pause();
      this.#states.set(id, next);
      check(encoder, encoder.restoreStateB64(before));
    }
    const path = encoder.encodeStrB64(request.path.slice(1));
    check(encoder, path.status);
    const headers = encoder.encodeStrB64(JSON.stringify(request.headers ?? {}));
    check(encoder, headers.status);
    if (Array.isArray(request.body)) {
      const stream = this.#stream(encoder as MteMkeEnc, request.body);
      if (this.#options.way === "saving") this.#states.set(id, encoder.saveStateB64()!);
      return { path: path.str!, headers: headers.str!, body: stream };
    }
    let body: Uint8Array | null = null;
    if (request.body !== undefined) {
      if (this.#options.way === "saving") await pause();
      const encoded = encoder.encode(request.body);
      check(encoder, encoded.status);
      body = encoded.arr;
    }
    if (this.#options.way === "saving") this.#states.set(id, encoder.saveStateB64()!);
    this.#giveBack(encoder, this.#encoders);
    return { path: path.str!, headers: headers.str!, body: body as BodyInit | null };
  }

  /** Chunks on their way; the encoder stays checked out until the last one. */
  #stream(encoder: MteMkeEnc, chunks: Uint8Array[]): ReadableStream {
    encoder.startEncrypt();
    const { encryptChunk } = encoder;
    const left = [...chunks];
    return new ReadableStream({
      pull: async (controller) => {
        await pause();
        const chunk = left.shift();
        if (chunk !== undefined) {
          controller.enqueue(encryptChunk(chunk));
          return;
        }
        const last = encoder.finishEncrypt();
        check(encoder, last.status);
        controller.enqueue(last.arr);
        controller.close();
        this.#giveBack(encoder, this.#encoders);
      },
    });
  }

  async #decode(response: Response, streamed: boolean): Promise<V4Response> {
    const [, pairId, type, , headersFlag, bodyFlag] = (response.headers.get("x-mte-relay") ?? "").split(",");
    if ((type === "0" ? "MTE" : "MKE") !== this.#options.type)
      throw new Error("the response has another type");
    const id = `decoder.${pairId}`;
    await pause();
    const decoder = this.#decoders.pop() ?? this.#decoder();
    check(decoder, decoder.restoreStateB64(this.#states.get(id)!));
    const threshold = Number(String(decoder.getDrbgsReseedInterval(decoder.getDrbg())).substring(0, 15));
    if (Number(String(decoder.getReseedCounter()).substring(0, 15)) / threshold > 0.9)
      throw new Error("reseed");
    const headers = new Headers(response.headers);
    if (headersFlag === "1") {
      const map = decoder.decodeStrB64(headers.get("x-mte-relay-eh")!);
      check(decoder, map.status);
      for (const [name, value] of Object.entries(JSON.parse(map.str!))) headers.set(name, value as string);
    }
    let body: Uint8Array = new Uint8Array();
    if (bodyFlag === "1" && streamed) {
      body = await decryptStream(decoder as MteMkeDec, response);
    } else if (bodyFlag === "1") {
      const whole = new Uint8Array(await response.arrayBuffer());
      const decoded = decoder.decode(whole);
      check(decoder, decoded.status);
      body = decoded.arr!;
    }
    this.#states.set(id, decoder.saveStateB64()!);
    this.#giveBack(decoder, this.#decoders);
    return { status: response.status, headers, body };
  }

  #newKeys(): Keys {
    const side = () => {
      const kyber = new MteKyber(this.#wasm, this.#options.strength ?? MteKyberStrength.K512);
      const made = kyber.createKeypair();
      if (made.status !== MteKyberStatus.success) throw new Error("createKeypair");
      return { kyber, personalization: randomUUID(), key: made.result1! };
    };
    return { pairId: randomBytes(16).toString("hex"), encoder: side(), decoder: side() };
  }

  #begin(
    id: string,
    endpoint: MteEnc | MteMkeEnc | MteDec | MteMkeDec,
    keys: Keys["encoder"],
    ciphertext: string,
    nonce: string,
  ): void {
    const secret = keys.kyber.decryptSecret(new Uint8Array(Buffer.from(ciphertext, "base64")));
    if (secret.status !== MteKyberStatus.success) throw new Error("decryptSecret");
    endpoint.setEntropyArr(secret.result1!);
    endpoint.setNonce(nonce);
    check(endpoint, endpoint.instantiate(keys.personalization));
    this.#states.set(id, endpoint.saveStateB64()!);
    endpoint.uninstantiate();
  }

  #encoder(): MteEnc | MteMkeEnc {
    return this.#options.type === "MTE" ? MteEnc.fromdefault(this.#wasm) : MteMkeEnc.fromdefault(this.#wasm);
  }

  #decoder(): MteDec | MteMkeDec {
    const Decoder = this.#options.type === "MTE" ? MteDec : MteMkeDec;
    return Decoder.fromdefault(this.#wasm, 1000, -63);
  }

  #giveBack<T extends { uninstantiate(): unknown; destruct(): void }>(endpoint: T, pool: T[]): void {
    endpoint.uninstantiate();
    if (pool.length < 5) pool.push(endpoint);
    else endpoint.destruct();
  }
}

async function decryptStream(decoder: MteMkeDec, response: Response): Promise<Uint8Array> {
  check(decoder, decoder.startDecrypt());
  const { decryptChunk } = decoder;
  const parts: Uint8Array[] = [];
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    const opened = decryptChunk(chunk);
    if (opened === null) throw new Error("a chunk was refused");
    parts.push(opened);
  }
  const last = decoder.finishDecrypt();
  check(decoder, last.status);
  parts.push(last.arr!);
  return new Uint8Array(Buffer.concat(parts));
}

function check(base: MteBase, status: MteStatus): void {
  if (base.statusIsError(status)) {
    throw new Error(`${base.getStatusName(status)}: ${base.getStatusDescription(status)}`);
  }
}
