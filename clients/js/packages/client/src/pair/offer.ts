/** The client's side of a pairing (docs/protocol.md, section 2): building the request and processing the answer. */

import {
  type Bytes,
  kemInfoOf,
  type PairAnswer,
  type PairRequest,
  readPairAnswers,
  wipe,
  writePairRequests,
} from "@mte-relay/core";
import { Decoder } from "../codec/decoder.js";
import { Encoder } from "../codec/encoder.js";
import { type EpochKey, entropyOf, epochKey, rootSecret } from "../codec/schedule.js";
import type { Kem, KemKey } from "../crypto/kem.js";
import { randomId } from "../crypto/platform.js";
import { MteRelayError } from "../errors.js";
import { Pair } from "./pair.js";

interface Asked {
  request: PairRequest;
  encoder: KemKey;
  decoder: KemKey;
}

export class Offer {
  private constructor(
    private readonly kem: Kem,
    private readonly asked: readonly Asked[],
  ) {}

  /** Fresh keys, names and personalization strings for `count` pairs. */
  static async make(count: number, kem: Kem): Promise<Offer> {
    const asked: Asked[] = [];
    for (let index = 0; index < count; index++) {
      const [encoder, decoder] = [await kem.generate(), await kem.generate()];
      asked.push({
        encoder,
        decoder,
        request: {
          pairId: randomId(),
          encoderKey: encoder.encapsulationKey,
          encoderPersonalization: randomId(),
          decoderKey: decoder.encapsulationKey,
          decoderPersonalization: randomId(),
        },
      });
    }
    return new Offer(kem, asked);
  }

  /** The body of `POST /api/mte-pair`. */
  toJson(): string {
    return writePairRequests(this.asked.map((one) => one.request));
  }

  /** Creates the pairs from the relay's answer. Can be called once. */
  async accept(clientId: string, json: string): Promise<Pair[]> {
    let answers: PairAnswer[];
    const requests = this.asked.map((one) => one.request);
    try {
      answers = readPairAnswers(json, requests, kemInfoOf(this.kem.name));
    } catch (cause) {
      throw new MteRelayError("pairing", `the relay's answer to the pairing is invalid: ${message(cause)}`, {
        cause,
      });
    }
    const pairs: Pair[] = [];
    for (const [index, answer] of answers.entries()) {
      const { request, encoder, decoder } = this.asked[index]!;
      const c2s = await this.#root(encoder, answer.encoder, request.encoderPersonalization);
      const s2c = await this.#root(decoder, answer.decoder, request.decoderPersonalization);
      pairs.push(new Pair(request.pairId, clientId, new Encoder(c2s), new Decoder(s2c)));
    }
    return pairs;
  }

  async #root(
    key: KemKey,
    answer: { nonce: string; ciphertext: Bytes },
    personalization: string,
  ): Promise<EpochKey> {
    const shared = await key.decapsulate(answer.ciphertext);
    const { id } = kemInfoOf(this.kem.name);
    const entropy = await entropyOf(id, shared, key.encapsulationKey, answer.ciphertext);
    const root = await rootSecret(entropy, { nonce: answer.nonce, personalization });
    wipe(entropy);
    return epochKey(root);
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
