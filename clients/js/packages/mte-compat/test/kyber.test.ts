import { describe, expect, it } from "vitest";
import { MteKyber, MteKyberStatus, MteKyberStrength } from "../src/index.js";
import { wasm } from "./help/pair.js";

const { K512, K768, K1024 } = MteKyberStrength;
const SIZES = [
  [K512, 800, 768],
  [K768, 1184, 1088],
  [K1024, 1568, 1568],
] as const;

describe("MteKyber", () => {
  it.each(SIZES)(
    "of strength %i gives both ends one secret of 32 bytes",
    (strength, keySize, ciphertextSize) => {
      const initiator = new MteKyber(wasm, strength);
      const pair = initiator.createKeypair();
      expect(pair.status).toBe(MteKyberStatus.success);
      expect(pair.result1?.length).toBe(keySize);
      expect(pair.result2).toBeNull();

      const made = new MteKyber(wasm, strength).createSecret(pair.result1!);
      expect(made.status).toBe(MteKyberStatus.success);
      expect(made.result1?.length).toBe(32);
      expect(made.result2?.length).toBe(ciphertextSize);

      const opened = initiator.decryptSecret(made.result2!);
      expect(opened).toEqual({ result1: made.result1, result2: null, status: MteKyberStatus.success });
      expect(initiator.decryptSecret(made.result2!).result1, "again").toEqual(made.result1);
    },
  );

  it("gives another secret for a changed ciphertext, as FIPS 203 specifies", () => {
    const initiator = new MteKyber(wasm, K512);
    const made = new MteKyber(wasm, K512).createSecret(initiator.createKeypair().result1!);
    const changed = made.result2!.slice();
    changed[0]! ^= 1;
    const opened = initiator.decryptSecret(changed);
    expect(opened.status).toBe(MteKyberStatus.success);
    expect(opened.result1).not.toEqual(made.result1);
  });

  it("creates a new key pair with every call, which does not open older ciphertexts", () => {
    const initiator = new MteKyber(wasm, K512);
    const first = initiator.createKeypair().result1!;
    const made = new MteKyber(wasm, K512).createSecret(first);
    expect(initiator.createKeypair().result1).not.toEqual(first);
    expect(initiator.decryptSecret(made.result2!).result1).not.toEqual(made.result1);
  });

  it("fails without a strength, a key pair, or input of the right size", () => {
    const none = new MteKyber(wasm, MteKyberStrength.none);
    const strength = { result1: null, result2: null, status: MteKyberStatus.invalid_strength };
    expect(none.createKeypair()).toEqual(strength);
    expect(none.createSecret(new Uint8Array(800))).toEqual(strength);
    expect(none.decryptSecret(new Uint8Array(768))).toEqual(strength);
    const kyber = new MteKyber(wasm, K512);
    expect(kyber.decryptSecret(new Uint8Array(768)).status).toBe(MteKyberStatus.invalid_privkey);
    kyber.createKeypair();
    expect(kyber.decryptSecret(new Uint8Array(767)).status).toBe(MteKyberStatus.invalid_cipher);
    expect(kyber.decryptSecret(null as unknown as Uint8Array).status).toBe(MteKyberStatus.invalid_cipher);
    expect(kyber.createSecret(new Uint8Array(1184)).status).toBe(MteKyberStatus.invalid_pubkey);
    expect(kyber.createSecret(undefined as unknown as Uint8Array).status).toBe(MteKyberStatus.invalid_pubkey);
  });

  it("refuses a public key that fails the modulus check", () => {
    expect(new MteKyber(wasm, K768).createSecret(new Uint8Array(1184).fill(255)).status).toBe(
      MteKyberStatus.invalid_pubkey,
    );
  });

  it("has the numbers that callers expect", () => {
    expect(MteKyberStrength).toMatchObject({ none: 0, K512: 512, K768: 768, K1024: 1024 });
    const numbers = Object.values(MteKyberStatus).filter((value) => typeof value === "number");
    expect(numbers.sort((a, b) => b - a)).toEqual([0, -1, -2, -3, -4, -5, -6]);
    expect(MteKyberStatus.success).toBe(0);
  });
});
