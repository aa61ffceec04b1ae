/** The key schedule, from a pairing's secrets to the keys of a message (docs/codec.md, sections 2 to 4). */

import {
  concat,
  ENTROPY_SIZE,
  epochInfo,
  kemInfo,
  kemSalt,
  type MessageHeader,
  messageInfo,
  messageKeysSize,
  rootInfo,
  utf8,
  wipe,
} from "@mte-relay/core";
import { expand, extract } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";

/** Bytes of a direction's identifier. */
export const ID_SIZE = 16;

function hkdf(ikm: Uint8Array, salt: Uint8Array, info: Uint8Array): Uint8Array {
  const prk = extract(sha256, ikm, salt);
  const out = expand(sha256, prk, info, ENTROPY_SIZE);
  wipe(prk);
  return out;
}

/** Section 2: binds a KEM's shared secret to its algorithm, encapsulation key and ciphertext. */
export function kemEntropy(
  kemId: number,
  sharedSecret: Uint8Array,
  encapsulationKey: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array {
  return hkdf(sharedSecret, kemSalt(), kemInfo(kemId, sha256(encapsulationKey), sha256(ciphertext)));
}

/** The inputs of a direction's root. */
export interface RootInputs {
  readonly entropy: Uint8Array;
  /** Canonical decimal. */
  readonly nonce: string;
  readonly personalization: string;
  /** Empty in version 4 of the relay protocol, as is `context`. */
  readonly auth?: Uint8Array;
  readonly context?: Uint8Array;
}

/** Section 3: the root of a direction, which is the secret of its epoch 0. Throws RangeError if a text is too long. */
export function rootSecret(inputs: RootInputs): Uint8Array {
  const ikm = concat(inputs.entropy, inputs.auth ?? new Uint8Array());
  const root = hkdf(ikm, utf8(inputs.nonce), rootInfo(inputs.personalization, inputs.context));
  wipe(ikm);
  return root;
}

/** This package's identifier of a direction, which the codec does not define. It reveals nothing about the root. */
export function directionId(root: Uint8Array): Uint8Array {
  return expand(sha256, root, utf8("mte-compat direction"), ID_SIZE);
}

/** A copy of an epoch's secret, advanced by `steps` epochs. */
export function laterEpoch(secret: Uint8Array, steps: number): Uint8Array {
  let current: Uint8Array = secret.slice();
  for (let step = 0; step < steps; step++) {
    const next = expand(sha256, current, epochInfo(), ENTROPY_SIZE);
    wipe(current);
    current = next;
  }
  return current;
}

/** The keys of one message. */
export interface MessageKeys {
  /** K_n. */
  readonly frames: Uint8Array;
  /** T_n; empty for MKE. */
  readonly tokens: Uint8Array;
}

/** Section 4. */
export function messageKeys(epochSecret: Uint8Array, header: MessageHeader): MessageKeys {
  const keys = expand(sha256, epochSecret, messageInfo(header), messageKeysSize(header.type));
  return { frames: keys.subarray(0, ENTROPY_SIZE), tokens: keys.subarray(ENTROPY_SIZE) };
}
