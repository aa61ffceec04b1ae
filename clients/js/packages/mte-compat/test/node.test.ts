import { describe, expect, it } from "vitest";
import { MteKyber, MteKyberStrength } from "../src/index.js";
import { direction, wasm } from "./help/pair.js";

describe("Node buffers", () => {
  it("are accepted wherever bytes are", () => {
    const { mkeEnc, mkeDec } = direction();
    const { str } = mkeDec.decodeStr(Buffer.from(mkeEnc.encode(Buffer.from("from a buffer")).arr!));
    expect(str).toBe("from a buffer");
    expect(mkeEnc.restoreState(Buffer.from(mkeEnc.saveState()!))).toBe(0);

    const initiator = new MteKyber(wasm, MteKyberStrength.K512);
    const key = Buffer.from(initiator.createKeypair().result1!);
    const made = new MteKyber(wasm, MteKyberStrength.K512).createSecret(key);
    expect(initiator.decryptSecret(Buffer.from(made.result2!)).result1).toEqual(made.result1);
  });
});

describe("the console", () => {
  it("does not show an endpoint's secrets", async () => {
    const { inspect } = await import("node:util");
    const { mkeEnc, mkeDec, secrets } = direction();
    mkeEnc.setEntropyArr(secrets.entropy.slice());
    for (const endpoint of [mkeEnc, mkeDec]) {
      expect(inspect(endpoint, { depth: 10, showHidden: true })).not.toMatch(/Uint8Array|secret/i);
      expect(JSON.stringify(endpoint)).not.toMatch(/secret|entropy/i);
    }
  });
});
