/** `MteKyber`: the key exchange of a pairing (docs/codec.md, section 2), with ML-KEM (FIPS 203). */

import { type KemInfo, type KemName, kemInfoOf, wipe } from "@mte-relay/core";
import { ml_kem512, ml_kem768, ml_kem1024 } from "@noble/post-quantum/ml-kem.js";
import { secureRandom } from "./codec/random.js";
import { kemEntropy } from "./codec/schedule.js";
import type { MteWasm } from "./wasm.js";

export enum MteKyberStrength {
  none = 0,
  K512 = 512,
  K768 = 768,
  K1024 = 1024,
}

export enum MteKyberStatus {
  success = 0,
  /** The strength is not 512, 768 or 1024. */
  invalid_strength = -1,
  /** Not a public key of this strength. */
  invalid_pubkey = -2,
  /** `decryptSecret` before `createKeypair`. */
  invalid_privkey = -3,
  /** Not a ciphertext of this strength. */
  invalid_cipher = -4,
  /** No secure random numbers. */
  entropy_fail = -5,
  /** Never returned. */
  memory_fail = -6,
}

export interface MteKyberResult {
  /** Public key or secret; `null` on failure. */
  result1: Uint8Array | null;
  /** Ciphertext of `createSecret`; otherwise `null`. */
  result2: Uint8Array | null;
  status: MteKyberStatus;
}

/** The random bytes: d || z for a key pair, m for a ciphertext. */
const SEED_SIZE = 64;
const MESSAGE_SIZE = 32;

const ALGORITHMS: Readonly<Record<number, { name: KemName; kem: typeof ml_kem512 }>> = {
  [MteKyberStrength.K512]: { name: "ml-kem-512", kem: ml_kem512 },
  [MteKyberStrength.K768]: { name: "ml-kem-768", kem: ml_kem768 },
  [MteKyberStrength.K1024]: { name: "ml-kem-1024", kem: ml_kem1024 },
};

/** One end of an exchange. The end that pairs creates a key pair; the other one encapsulates to its public key. */
export class MteKyber {
  readonly #info: KemInfo | undefined;
  readonly #kem: typeof ml_kem512 | undefined;
  #keys: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array } | undefined;

  constructor(_wasm: MteWasm | null | undefined, strength: MteKyberStrength) {
    const algorithm = ALGORITHMS[strength];
    this.#info = algorithm && kemInfoOf(algorithm.name);
    this.#kem = algorithm?.kem;
  }

  /** `result1`: the public key. The object keeps the private key until the next call. */
  createKeypair(): MteKyberResult {
    if (this.#kem === undefined) return failed(MteKyberStatus.invalid_strength);
    const seed = randomBytes(SEED_SIZE);
    if (seed === undefined) return failed(MteKyberStatus.entropy_fail);
    if (this.#keys) wipe(this.#keys.secretKey);
    this.#keys = this.#kem.keygen(seed);
    wipe(seed);
    return { result1: this.#keys.publicKey.slice(), result2: null, status: MteKyberStatus.success };
  }

  /** `result1`: the secret, 32 bytes; `result2`: its ciphertext for the owner of the public key. */
  createSecret(publicKey: Uint8Array): MteKyberResult {
    if (this.#kem === undefined || this.#info === undefined) return failed(MteKyberStatus.invalid_strength);
    const message = randomBytes(MESSAGE_SIZE);
    if (message === undefined) return failed(MteKyberStatus.entropy_fail);
    try {
      const { cipherText, sharedSecret } = this.#kem.encapsulate(publicKey, message);
      return this.#secret(sharedSecret, publicKey, cipherText, cipherText);
    } catch {
      return failed(MteKyberStatus.invalid_pubkey);
    } finally {
      wipe(message);
    }
  }

  /**
   * `result1`: the secret that `createSecret` of the other end returned. A wrong ciphertext of the right size yields a
   * different secret; the error shows only when the first message does not decode.
   */
  decryptSecret(ciphertext: Uint8Array): MteKyberResult {
    if (this.#kem === undefined || this.#info === undefined) return failed(MteKyberStatus.invalid_strength);
    if (this.#keys === undefined) return failed(MteKyberStatus.invalid_privkey);
    if (ciphertext?.length !== this.#info.ciphertextSize) return failed(MteKyberStatus.invalid_cipher);
    try {
      const sharedSecret = this.#kem.decapsulate(ciphertext, this.#keys.secretKey);
      return this.#secret(sharedSecret, this.#keys.publicKey, ciphertext, null);
    } catch {
      return failed(MteKyberStatus.invalid_cipher);
    }
  }

  /** The result is not the KEM's secret, but the codec's entropy, which is bound to key and ciphertext. */
  #secret(
    sharedSecret: Uint8Array,
    publicKey: Uint8Array,
    ciphertext: Uint8Array,
    result2: Uint8Array | null,
  ): MteKyberResult {
    const result1 = kemEntropy(this.#info!.id, sharedSecret, publicKey, ciphertext);
    wipe(sharedSecret);
    return { result1, result2, status: MteKyberStatus.success };
  }
}

function randomBytes(size: number): Uint8Array | undefined {
  try {
    return secureRandom(size);
  } catch {
    return undefined;
  }
}

function failed(status: MteKyberStatus): MteKyberResult {
  return { result1: null, result2: null, status };
}
