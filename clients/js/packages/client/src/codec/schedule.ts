/** The key schedule, from a shared secret to the secrets of epochs (docs/codec.md, sections 2 and 3). */

import { type Bytes, concat, epochInfo, kemInfo, kemSalt, own, rootInfo, utf8, wipe } from "@mte-relay/core";
import { expand, hkdf, hmacKey, sha256 } from "../crypto/hkdf.js";

/** The secret of an epoch, as a non-extractable key. */
export type EpochKey = CryptoKey;

/** Binds a shared secret to its encapsulation key and ciphertext. Wipes it. */
export async function entropyOf(
  kemId: number,
  sharedSecret: Uint8Array,
  encapsulationKey: Uint8Array,
  ciphertext: Uint8Array,
): Promise<Bytes> {
  const secret = own(sharedSecret);
  const [keyHash, ciphertextHash] = await Promise.all([
    sha256(own(encapsulationKey)),
    sha256(own(ciphertext)),
  ]);
  const entropy = await hkdf(secret, kemSalt(), kemInfo(kemId, keyHash, ciphertextHash));
  wipe(secret, sharedSecret);
  return entropy;
}

/** The inputs of a direction's root other than its entropy. */
export interface RootInputs {
  nonce: string;
  personalization: string;
  /** Empty in this version of the relay protocol. */
  auth?: Bytes;
  /** Empty in this version of the relay protocol. */
  context?: Bytes;
}

/** The root of a direction, which is the secret of its epoch 0. */
export async function rootSecret(entropy: Bytes, inputs: RootInputs): Promise<Bytes> {
  const secret = concat(entropy, inputs.auth ?? new Uint8Array());
  const root = await hkdf(secret, utf8(inputs.nonce), rootInfo(inputs.personalization, inputs.context));
  wipe(secret);
  return root;
}

/** Imports a secret as a non-extractable key. Wipes it. */
export async function epochKey(secret: Bytes): Promise<EpochKey> {
  const key = await hmacKey(secret);
  wipe(secret);
  return key;
}

/** The bytes of the next epoch's secret. */
export function nextEpochSecret(key: EpochKey): Promise<Bytes> {
  return expand(key, epochInfo(), 32);
}

/** The next epoch's secret, as a key. */
export async function nextEpoch(key: EpochKey): Promise<EpochKey> {
  return epochKey(await nextEpochSecret(key));
}
