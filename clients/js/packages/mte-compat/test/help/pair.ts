/** Encoders and decoders of one direction, with secrets of their own. */

import { fromBase64, readHeader } from "@mte-relay/core";
import { secureRandom } from "../../src/codec/random.js";
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

/** The secrets of a new direction. */
export interface Secrets {
  entropy: Uint8Array;
  nonce: string;
  personalization: string;
}

export function secrets(): Secrets {
  return {
    entropy: secureRandom(32),
    nonce: new DataView(secureRandom(8).buffer).getBigUint64(0).toString(),
    personalization: crypto.randomUUID(),
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

/** A message's header: type, place, number. */
export function headerOf(message: Uint8Array | string | null) {
  if (message === null) throw new Error("there is no message");
  const { type, place, number } = readHeader(typeof message === "string" ? fromBase64(message) : message);
  return { type, place, number };
}

export const numberOf = (message: Uint8Array | string | null) => headerOf(message).number;
export const placeOf = (message: Uint8Array | string | null) => headerOf(message).place;

/** Much faster than \`toEqual\` on large arrays. */
export function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
