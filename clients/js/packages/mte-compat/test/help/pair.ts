/** Encoders and decoders of one direction, with secrets of their own. */

import { randomBytes, randomUUID } from "node:crypto";
import {
  MteDec,
  MteEnc,
  type MteFlenEnc,
  MteMkeDec,
  MteMkeEnc,
  MteStatus,
  MteWasm,
} from "../../src/index.js";

export const wasm = new MteWasm();

type Endpoint = MteEnc | MteFlenEnc | MteMkeEnc | MteDec | MteMkeDec;

/** The secrets of a direction that nobody else has. */
export interface Secrets {
  entropy: Uint8Array;
  nonce: string;
  personalization: string;
}

export function secrets(): Secrets {
  return {
    entropy: new Uint8Array(randomBytes(32)),
    nonce: randomBytes(7).readUIntBE(0, 6).toString(),
    personalization: randomUUID(),
  };
}

/** Instantiates an encoder or decoder from secrets, of which it gets a copy. */
export function instantiated<T extends Endpoint>(endpoint: T, from: Secrets): T {
  endpoint.setEntropyArr(from.entropy.slice());
  endpoint.setNonce(from.nonce);
  const status = endpoint.instantiate(from.personalization);
  if (status !== MteStatus.mte_status_success) throw new Error(endpoint.getStatusName(status));
  return endpoint;
}

/** Both types of encoder and decoder, all of one new direction. */
export function direction() {
  const from = secrets();
  return {
    secrets: from,
    mkeEnc: instantiated(MteMkeEnc.fromdefault(wasm), from),
    mteEnc: instantiated(MteEnc.fromdefault(wasm), from),
    mkeDec: instantiated(MteMkeDec.fromdefault(wasm, 1000, -63), from),
    mteDec: instantiated(MteDec.fromdefault(wasm, 1000, -63), from),
  };
}

/** What a message says of itself: type, place, number. */
export function headerOf(message: Uint8Array | string | null) {
  if (message === null) throw new Error("there is no message");
  const bytes = typeof message === "string" ? Buffer.from(message, "base64") : Buffer.from(message);
  return { type: bytes[0]!, place: bytes[1]!, number: Number(bytes.readBigUInt64BE(2)) };
}

export const numberOf = (message: Uint8Array | string | null) => headerOf(message).number;
export const placeOf = (message: Uint8Array | string | null) => headerOf(message).place;
