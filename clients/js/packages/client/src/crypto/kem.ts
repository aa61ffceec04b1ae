/**
 * Key encapsulation, the side that decapsulates (docs/codec.md, section 2). ML-KEM is the platform's own where
 * WebCrypto has it, else that of @noble/post-quantum.
 */

import { type Bytes, type KemName, own, wipe } from "@mte-relay/core";
import { ml_kem512, ml_kem768, ml_kem1024 } from "@noble/post-quantum/ml-kem.js";
import { subtle } from "./platform.js";

/** A key encapsulation that pairs can be made with. */
export interface Kem {
  readonly name: KemName;
  /** Makes a fresh key. */
  generate(): Promise<KemKey>;
}

/** One key of a {@link Kem}, for one use. */
export interface KemKey {
  /** What the relay gets. */
  readonly encapsulationKey: Uint8Array;
  /** The shared secret, 32 bytes. Wipes the secret key. */
  decapsulate(ciphertext: Uint8Array): Promise<Uint8Array>;
}

/** A KEM as @noble/post-quantum makes them. */
export interface SyncKem {
  keygen(seed?: Uint8Array): { publicKey: Uint8Array; secretKey: Uint8Array };
  decapsulate(ciphertext: Uint8Array, secretKey: Uint8Array): Uint8Array;
}

/** ML-KEM of one of its three sizes. */
export type MlKemName = Exclude<KemName, "x-wing">;

/** ML-KEM as JavaScript. */
export function nobleMlKem(name: MlKemName): SyncKem {
  return name === "ml-kem-512" ? ml_kem512 : name === "ml-kem-1024" ? ml_kem1024 : ml_kem768;
}

/** ML-KEM, by the platform where it can. */
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

/** A key of a KEM that is JavaScript. */
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

/** WebCrypto with the key encapsulation that TypeScript's library does not know yet. */
interface KemCrypto {
  generateKey(algorithm: string, extractable: boolean, usages: string[]): Promise<CryptoKeyPair>;
  exportKey(format: "raw-public", key: CryptoKey): Promise<ArrayBuffer>;
  decapsulateBits(algorithm: string, key: CryptoKey, ciphertext: Bytes): Promise<ArrayBuffer>;
}

async function platformKey(algorithm: string): Promise<KemKey> {
  const crypto = subtle() as unknown as KemCrypto;
  if (typeof crypto.decapsulateBits !== "function") throw new Error("WebCrypto has no ML-KEM");
  // Both usages, since a public key without one cannot be made everywhere.
  const keys = await crypto.generateKey(algorithm, false, ["encapsulateBits", "decapsulateBits"]);
  const encapsulationKey = new Uint8Array(await crypto.exportKey("raw-public", keys.publicKey));
  return {
    encapsulationKey,
    async decapsulate(ciphertext) {
      return new Uint8Array(await crypto.decapsulateBits(algorithm, keys.privateKey, own(ciphertext)));
    },
  };
}
