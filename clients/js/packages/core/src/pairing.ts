/** The pairing's JSON (docs/protocol.md, section 2), from the client's side. */

import { fromBase64, toBase64 } from "./base64.js";
import type { Bytes } from "./bytes.js";
import { ProtocolError } from "./errors.js";
import type { KemInfo } from "./kems.js";

/** A client's request for one pair. */
export interface PairRequest {
  pairId: string;
  /** Encapsulation key of c2s. */
  encoderKey: Uint8Array;
  encoderPersonalization: string;
  /** Encapsulation key of s2c. */
  decoderKey: Uint8Array;
  decoderPersonalization: string;
}

/** The relay's answer for one pair, with names by direction. */
export interface PairAnswer {
  pairId: string;
  /** c2s: nonce and ciphertext for the client's encoder. */
  encoder: { nonce: string; ciphertext: Bytes };
  /** s2c: nonce and ciphertext for the client's decoder. */
  decoder: { nonce: string; ciphertext: Bytes };
}

/** The body of a pairing request. */
export function writePairRequests(pairs: readonly PairRequest[]): string {
  return JSON.stringify(
    pairs.map((pair) => ({
      pairId: pair.pairId,
      encoderPublicKey: toBase64(pair.encoderKey),
      encoderPersonalizationStr: pair.encoderPersonalization,
      decoderPublicKey: toBase64(pair.decoderKey),
      decoderPersonalizationStr: pair.decoderPersonalization,
    })),
  );
}

/**
 * Reads the answer to `pairs`: it must have them in the same order, and ciphertexts of the size of `kem`. Throws
 * ProtocolError, which names what is wrong.
 */
export function readPairAnswers(json: string, pairs: readonly PairRequest[], kem: KemInfo): PairAnswer[] {
  let rows: unknown;
  try {
    rows = JSON.parse(json);
  } catch {
    throw new ProtocolError("it is not JSON");
  }
  if (!Array.isArray(rows)) throw new ProtocolError("it is not a JSON array");
  if (rows.length !== pairs.length) {
    throw new ProtocolError(`it has ${rows.length} pairs, ${pairs.length} were asked for`);
  }
  return pairs.map((pair, index) => {
    const row = new Row(rows[index], index);
    if (row.text("pairId") !== pair.pairId) throw new ProtocolError(`pair ${index} is not the one asked for`);
    // The names are from the relay's side: its decoder is the peer of our encoder.
    return {
      pairId: pair.pairId,
      encoder: { nonce: row.nonce("decoderNonce"), ciphertext: row.ciphertext("decoderSecret", kem) },
      decoder: { nonce: row.nonce("encoderNonce"), ciphertext: row.ciphertext("encoderSecret", kem) },
    };
  });
}

class Row {
  constructor(
    private readonly value: unknown,
    private readonly index: number,
  ) {}

  text(field: string): string {
    const value = (this.value as Record<string, unknown> | null)?.[field];
    if (typeof value !== "string") throw this.refused(field, "is not a string");
    return value;
  }

  /** Decimal, without sign or leading zero, below 2^63. */
  nonce(field: string): string {
    const text = this.text(field);
    if (!/^(?:0|[1-9][0-9]{0,18})$/.test(text) || BigInt(text) >= 2n ** 63n) {
      throw this.refused(field, "is not a decimal number below 2^63");
    }
    return text;
  }

  ciphertext(field: string, kem: KemInfo): Bytes {
    let bytes: Bytes;
    try {
      bytes = fromBase64(this.text(field));
    } catch (error) {
      throw error instanceof ProtocolError ? error : this.refused(field, "is not base64");
    }
    if (bytes.length !== kem.ciphertextSize) {
      throw this.refused(
        field,
        `has ${bytes.length} bytes, a ciphertext of ${kem.name} has ${kem.ciphertextSize}`,
      );
    }
    return bytes;
  }

  private refused(field: string, reason: string): ProtocolError {
    return new ProtocolError(`${field} of pair ${this.index} ${reason}`);
  }
}
