/**
 * Key encapsulation, the decapsulating side (docs/codec.md, section 2). It uses WebCrypto's ML-KEM if the platform has
 * it, and @noble/post-quantum otherwise.
 */

import { type Bytes, type KemName, own, wipe } from "@mte-relay/core";
import { ml_kem512, ml_kem768, ml_kem1024 } from "@noble/post-quantum/ml-kem.js";
import { subtle } from "./platform.js";

/** A key encapsulation mechanism for pairing. */
export interface Kem {
  readonly name: KemName;
  /** Generates a fresh key. */
  generate(): Promise<KemKey>;
}

/** A single-use key of a {@link Kem}. */
export interface KemKey {
  /** The public key, sent to the relay. */
  readonly encapsulationKey: Uint8Array;
  /** The shared secret, 32 bytes. Wipes the secret key. */
  decapsulate(ciphertext: Uint8Array): Promise<Uint8Array>;
}

/** The interface of a KEM in @noble/post-quantum. */
export interface SyncKem {
  keygen(seed?: Uint8Array): { publicKey: Uint8Array; secretKey: Uint8Array };
  decapsulate(ciphertext: Uint8Array, secretKey: Uint8Array): Uint8Array;
}

/** The ML-KEM parameter sets. */
export type MlKemName = Exclude<KemName, "x-wing">;

/** ML-KEM in JavaScript. */
export function nobleMlKem(name: MlKemName): SyncKem {
  return name === "ml-kem-512" ? ml_kem512 : name === "ml-kem-1024" ? ml_kem1024 : ml_kem768;
}

/** ML-KEM, from the platform if available. */
export function mlKem(name: MlKemName): Kem {
  let lacking = false;
  return {
    name,
    async generate() {
      if (!lacking) {
        try {
          return await platformKey(name.toUpperCase());
        } catch {
          lacking = true;
        }
      }
      return syncKey(nobleMlKem(name));
    },
  };
}

/** A key of a KEM implemented in JavaScript. */
export function syncKey(kem: SyncKem, seed?: Uint8Array): KemKey {
  const { publicKey, secretKey } = kem.keygen(seed);
  return {
    encapsulationKey: publicKey,
    async decapsulate(ciphertext) {
      try {
        return kem.decapsulate(ciphertext, secretKey);
      } finally {
        wipe(secretKey);
      }
    },
  };
}

/** WebCrypto's key encapsulation methods, which TypeScript's library does not declare yet. */
interface KemCrypto {
  generateKey(algorithm: string, extractable: boolean, usages: string[]): Promise<CryptoKeyPair>;
  exportKey(format: "raw-public", key: CryptoKey): Promise<ArrayBuffer>;
  decapsulateBits(algorithm: string, key: CryptoKey, ciphertext: Bytes): Promise<ArrayBuffer>;
}

async function platformKey(algorithm: string): Promise<KemKey> {
  const crypto = subtle() as unknown as KemCrypto;
  if (typeof crypto.decapsulateBits !== "function") throw new Error("WebCrypto has no ML-KEM");
  // Both usages: some platforms do not create a public key without any usage.
  const keys = await crypto.generateKey(algorithm, false, ["encapsulateBits", "decapsulateBits"]);
  const encapsulationKey = new Uint8Array(await crypto.exportKey("raw-public", keys.publicKey));
  return {
    encapsulationKey,
    async decapsulate(ciphertext) {
      return new Uint8Array(await crypto.decapsulateBits(algorithm, keys.privateKey, own(ciphertext)));
    },
  };
}
