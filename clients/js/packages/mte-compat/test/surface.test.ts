import { fromBase64, toBase64 } from "@mte-relay/core";
import { describe, expect, it } from "vitest";
import manifest from "../package.json?raw";
import * as mte from "../src/index.js";
import {
  MteBase,
  MteDec,
  MteEnc,
  MteFlenEnc,
  MteMkeDec,
  MteMkeEnc,
  MteStatus,
  MteWasm,
} from "../src/index.js";
import { direction, instantiated, secrets, wasm } from "./help/pair.js";

const bytes = (text: string) => new TextEncoder().encode(text);
const ENDPOINTS = {
  MteEnc: () => MteEnc.fromdefault(wasm),
  MteMkeEnc: () => MteMkeEnc.fromdefault(wasm),
  MteFlenEnc: () => MteFlenEnc.fromdefault(wasm, 100),
  MteDec: () => MteDec.fromdefault(wasm),
  MteMkeDec: () => MteMkeDec.fromdefault(wasm),
};

describe("the module", () => {
  it("exports what version 4 clients import, result types included", () => {
    expect(Object.keys(mte).sort()).toEqual(
      [
        "MteArrStatus",
        "MteBase",
        "MteDec",
        "MteEnc",
        "MteFlenEnc",
        "MteKyber",
        "MteKyberStatus",
        "MteKyberStrength",
        "MteMkeDec",
        "MteMkeEnc",
        "MteStatus",
        "MteStrStatus",
        "MteWasm",
      ].sort(),
    );
  });
});

describe("MteWasm", () => {
  it("has exports and memory once it is instantiated, no matter how often", async () => {
    const fresh = new MteWasm();
    expect([fresh.exports, fresh.memory]).toEqual([null, null]);
    await fresh.instantiate();
    await fresh.instantiate();
    expect(fresh.exports).not.toBeNull();
    expect(fresh.memory).not.toBeNull();
  });
});

describe("MteBase", () => {
  const base = new MteBase(wasm);

  it("accepts any license", () => {
    expect(base.initLicense("A company", "a key")).toBe(true);
    expect(base.initLicense("", "")).toBe(true);
  });

  it("names and describes the statuses 0 to 18, each differently", () => {
    const statuses = Array.from({ length: 19 }, (_, status) => status as MteStatus);
    const names = statuses.map((status) => base.getStatusName(status));
    expect(new Set(names).size).toBe(19);
    for (const name of names) expect(name).toMatch(/^mte_status_[a-z_]+$/);
    expect(new Set(statuses.map((status) => base.getStatusDescription(status))).size).toBe(19);
    expect(names[0]).toBe("mte_status_success");
    expect(names[10]).toBe("mte_status_license_error");
    expect(MteStatus.mte_status_success).toBe(0);
    expect(MteStatus.mte_status_license_error).toBe(10);
    expect(base.getStatusName(99 as MteStatus)).toContain("99");
    expect(base.getStatusDescription(99 as MteStatus)).toContain("99");
  });

  it("calls every status but success an error", () => {
    for (let status = 0; status <= 18; status++) expect(base.statusIsError(status)).toBe(status !== 0);
  });

  it("has the version of the package", () => {
    expect(base.getVersion()).toBe(JSON.parse(manifest).version);
  });

  it("requires 32 bytes of entropy, and counts numbers up to 2^32", () => {
    const drbg = base.getDefaultDrbg();
    expect(base.getDrbg()).toBe(drbg);
    expect(base.getDrbgsEntropyMinBytes(drbg)).toBe(32);
    expect(Number(String(base.getDrbgsReseedInterval(drbg)).substring(0, 15))).toBe(2 ** 32);
    expect(base.getReseedCounter()).toBe(0);
  });
});

describe("classes", () => {
  it("are not instances of each other", () => {
    const mkeEnc = MteMkeEnc.fromdefault(wasm);
    expect(mkeEnc instanceof MteEnc).toBe(false);
    expect(MteEnc.fromdefault(wasm) instanceof MteMkeEnc).toBe(false);
    expect(MteFlenEnc.fromdefault(wasm, 8) instanceof MteEnc).toBe(false);
    expect(MteMkeDec.fromdefault(wasm) instanceof MteDec).toBe(false);
    expect(MteDec.fromdefault(wasm) instanceof MteMkeDec).toBe(false);
  });

  it.each(Object.entries(ENDPOINTS))("%s is an MteBase", (_, make) => {
    const endpoint = make();
    expect(endpoint).toBeInstanceOf(MteBase);
    expect(endpoint.statusIsError(MteStatus.mte_status_out_of_place)).toBe(true);
    expect(endpoint.getDrbgsReseedInterval(endpoint.getDrbg())).toBe(2 ** 32);
  });

  it("accept decoder windows as numbers, strings and bigints, and refuse anything else", () => {
    for (const Decoder of [MteDec, MteMkeDec]) {
      Decoder.fromdefault(wasm);
      Decoder.fromdefault(wasm, 1000, -63);
      Decoder.fromdefault(wasm, "1000", "-63");
      Decoder.fromdefault(wasm, 1000n, 0);
      for (const [tWindow, sWindow] of [
        [-1, 0],
        [0, -64],
        ["soon", 0],
        ["", 0],
        [0, 1.5],
      ] as const) {
        expect(() => Decoder.fromdefault(wasm, tWindow, sWindow)).toThrow(RangeError);
      }
    }
  });
});

describe("instantiate", () => {
  it.each(Object.entries(ENDPOINTS))("of %s requires entropy of 32 bytes, and wipes it", (_, make) => {
    const endpoint = make();
    const attempt = (set: () => void) => {
      set();
      endpoint.setNonce("1");
      return endpoint.getStatusName(endpoint.instantiate("personal"));
    };
    expect(attempt(() => {})).toBe("mte_status_drbg_catastrophic");
    expect(attempt(() => endpoint.setEntropyArr(new Uint8Array(31)))).toBe("mte_status_entropy_too_short");
    expect(attempt(() => endpoint.setEntropyArr(new Uint8Array()))).toBe("mte_status_entropy_too_short");
    expect(attempt(() => endpoint.setEntropyArr(new Uint8Array(33)))).toBe("mte_status_entropy_too_long");
    expect(attempt(() => endpoint.setEntropyB64("not base64"))).toBe("mte_status_drbg_catastrophic");
    expect(endpoint.saveState()).toBeNull();
    expect(attempt(() => endpoint.setEntropyArr(secrets().entropy))).toBe("mte_status_success");
    expect(attempt(() => {})).toBe("mte_status_drbg_catastrophic");
  });

  it("zeroes entropy passed as an array, whatever its length", () => {
    for (const size of [5, 32, 40]) {
      const entropy = new Uint8Array(size).fill(7);
      MteEnc.fromdefault(wasm).setEntropyArr(entropy);
      expect(entropy).toEqual(new Uint8Array(size));
    }
  });

  it("accepts the same entropy as array, text and base64", () => {
    const text = "thirty-two bytes of a bad secret";
    const encoder = MteMkeEnc.fromdefault(wasm);
    encoder.setEntropyStr(text);
    encoder.setNonce("5");
    encoder.instantiate("same");
    const decoder = MteMkeDec.fromdefault(wasm);
    decoder.setEntropyB64(toBase64(bytes(text)));
    decoder.setNonce(5);
    decoder.instantiate("same");
    expect(decoder.decodeStr(encoder.encodeStr("hello").arr!).str).toBe("hello");
  });

  it("accepts a nonce as text, number or bigint, and makes it canonical", () => {
    const from = secrets();
    const encoder = instantiated(MteMkeEnc.fromdefault(wasm), { ...from, nonce: "9007199254740991" });
    for (const nonce of ["9007199254740991", "0009007199254740991", 9007199254740991, 9007199254740991n]) {
      const decoder = MteMkeDec.fromdefault(wasm);
      decoder.setEntropyArr(from.entropy.slice());
      decoder.setNonce(nonce);
      decoder.instantiate(from.personalization);
      expect(decoder.decodeStr(encoder.encodeStr("hello").arr!).str).toBe("hello");
    }
  });

  it("refuses a nonce that is missing, negative, not a number, inexact or beyond 64 bits", () => {
    const nonces = [
      undefined,
      "-1",
      "",
      "0x10",
      "1.5",
      2 ** 53,
      -1,
      -1n,
      2n ** 64n,
      "18446744073709551616",
      null,
    ];
    for (const nonce of nonces) {
      const encoder = MteEnc.fromdefault(wasm);
      encoder.setEntropyArr(secrets().entropy);
      if (nonce !== undefined) encoder.setNonce(nonce as string);
      expect(encoder.instantiate("p"), String(nonce)).toBe(MteStatus.mte_status_nonce_invalid);
    }
    const encoder = MteEnc.fromdefault(wasm);
    encoder.setEntropyArr(secrets().entropy);
    encoder.setNonce("18446744073709551615");
    expect(encoder.instantiate("p")).toBe(MteStatus.mte_status_success);
  });

  it("refuses a personalization string of more than 65,535 bytes", () => {
    const encoder = MteEnc.fromdefault(wasm);
    encoder.setEntropyArr(secrets().entropy);
    encoder.setNonce("1");
    expect(encoder.instantiate("é".repeat(32_768))).toBe(MteStatus.mte_status_personalization_too_long);
  });
});

describe("encodes and decodes", () => {
  const texts = ["", "a", "Grüße, 世界 🌍", "\uFEFFwith a mark", "x".repeat(66_000)];

  it.each(["mke", "mte"] as const)("%s: bytes and texts come back, as bytes and as base64", (type) => {
    const { [`${type}Enc` as const]: encoder, [`${type}Dec` as const]: decoder } = direction();
    for (const text of texts) {
      const data = bytes(text);
      const given = data.slice();
      expect(decoder.decode(encoder.encode(data).arr!).arr).toEqual(data);
      expect(data, "the input is unchanged").toEqual(given);
      expect(decoder.decodeB64(encoder.encodeB64(data).str!).arr).toEqual(data);
      expect(decoder.decodeStr(encoder.encodeStr(text).arr!).str).toBe(text);
      expect(decoder.decodeStrB64(encoder.encodeStrB64(text).str!).str).toBe(text);
    }
  });

  it("return results whose type shows in their keys, also on failure", () => {
    const { mkeEnc, mkeDec } = direction();
    const idle = MteMkeEnc.fromdefault(wasm);
    expect("str" in mkeEnc.encode(bytes("a"))).toBe(false);
    expect("str" in mkeEnc.encodeB64(bytes("a"))).toBe(true);
    expect({ ...idle.encodeStr("a") }).toEqual({ arr: null, status: MteStatus.mte_status_uninstantiated });
    expect({ ...idle.encodeStrB64("a") }).toEqual({ str: null, status: MteStatus.mte_status_uninstantiated });
    expect({ ...mkeDec.decode(bytes("nothing like a message")) }).toEqual({
      arr: null,
      status: MteStatus.mte_status_incomplete,
    });
    expect({ ...mkeDec.decodeStrB64("bm8=") }).toEqual({
      str: null,
      status: MteStatus.mte_status_incomplete,
    });
  });

  it("accept every type of bytes, and nothing else", () => {
    const { mkeEnc, mkeDec } = direction();
    const part = bytes("in a larger buffer").subarray(5, 11);
    expect(mkeDec.decodeStr(mkeEnc.encode(part).arr!).str).toBe("larger");
    const view = new DataView(bytes("a view").buffer as ArrayBuffer, 2);
    expect(mkeDec.decodeStr(mkeEnc.encode(view as unknown as Uint8Array).arr!).str).toBe("view");
    for (const wrong of [null, undefined, 5, "text", [1, 2], {}]) {
      expect(mkeEnc.encode(wrong as Uint8Array).status).toBe(MteStatus.mte_status_invalid_input);
      expect(mkeDec.decode(wrong as Uint8Array).status).toBe(MteStatus.mte_status_invalid_input);
    }
    expect(mkeEnc.encodeStr(5 as unknown as string).status).toBe(MteStatus.mte_status_invalid_input);
    expect(mkeDec.decodeB64("no base64").status).toBe(MteStatus.mte_status_invalid_input);
  });

  it("refuse zero bytes as a message", () => {
    const { mkeDec, mteDec } = direction();
    for (const decoder of [mkeDec, mteDec]) {
      expect(decoder.decode(new Uint8Array()).status).toBe(MteStatus.mte_status_invalid_input);
      expect(decoder.decodeStrB64("").status).toBe(MteStatus.mte_status_invalid_input);
    }
  });

  it("refuse a message of the other type, of another pair, changed, truncated, extended or repeated", () => {
    const { mkeEnc, mteEnc, mkeDec } = direction();
    const status = (message: Uint8Array) => mkeDec.getStatusName(mkeDec.decode(message).status);
    expect(status(mteEnc.encodeStr("a").arr!)).toBe("mte_status_out_of_place");
    expect(status(direction().mkeEnc.encodeStr("a").arr!)).toBe("mte_status_token_does_not_exist");
    const message = mkeEnc.encodeStr("a").arr!;
    const changed = message.slice();
    changed[32]! ^= 1;
    expect(status(changed)).toBe("mte_status_token_does_not_exist");
    expect(status(message.slice(0, -1))).toBe("mte_status_incomplete");
    expect(status(message)).toBe("mte_status_success");
    expect(status(message)).toBe("mte_status_seq_replayed");
    const longer = mkeEnc.encodeStr("a").arr!;
    expect(status(new Uint8Array([...longer, 0]))).toBe("mte_status_token_does_not_exist");
  });

  it("refuse a body instead of a text, and a text instead of a body", () => {
    const { mkeEnc, mkeDec } = direction();
    const text = mkeEnc.encodeStrB64("a").str!;
    expect(mkeDec.decode(fromBase64(text)).status).toBe(MteStatus.mte_status_out_of_place);
    expect(mkeDec.decodeStrB64(text).str).toBe("a");
    const body = mkeEnc.encodeStr("a").arr!;
    expect(mkeDec.decodeB64(toBase64(body)).status).toBe(MteStatus.mte_status_out_of_place);
    expect(mkeDec.decodeStr(body).str).toBe("a");
  });
});

describe("MteFlenEnc", () => {
  it("creates messages of one length: truncates longer data, and pads shorter data with zero bytes", () => {
    const { secrets: from, mteDec } = direction();
    const encoder = instantiated(MteFlenEnc.fromdefault(wasm, 100), from);
    const messages = ["", "short", "y".repeat(100), "z".repeat(101)].map(
      (text) => encoder.encodeStr(text).arr!,
    );
    expect(new Set(messages.map((message) => message.length)).size).toBe(1);
    const decoded = messages.map((message) => mteDec.decodeStr(message).str!);
    expect(decoded[1]).toBe(`short${"\0".repeat(95)}`);
    expect(decoded[3]).toBe("z".repeat(100));
  });

  it("requires a positive length", () => {
    for (const length of [0, -1, 1.5, Number.NaN]) {
      expect(() => MteFlenEnc.fromdefault(wasm, length)).toThrow(RangeError);
    }
  });
});

describe("uninstantiate and destruct", () => {
  it("drop the pair; after uninstantiate, but not after destruct, another one can start", () => {
    const { mkeEnc, mkeDec } = direction();
    for (const endpoint of [mkeEnc, mkeDec]) {
      expect(endpoint.uninstantiate()).toBe(MteStatus.mte_status_success);
      expect(endpoint.uninstantiate()).toBe(MteStatus.mte_status_success);
      expect([endpoint.saveState(), endpoint.saveStateB64()]).toEqual([null, null]);
    }
    expect(mkeEnc.encodeStr("a").status).toBe(MteStatus.mte_status_uninstantiated);
    expect(mkeDec.decode(new Uint8Array(50)).status).toBe(MteStatus.mte_status_uninstantiated);
    const from = secrets();
    instantiated(mkeEnc, from);
    instantiated(mkeDec, from);
    expect(mkeDec.decodeStr(mkeEnc.encodeStr("again").arr!).str).toBe("again");
    const state = mkeEnc.saveState()!;
    mkeEnc.destruct();
    expect(mkeEnc.restoreState(state)).toBe(MteStatus.mte_status_unsupported);
  });
});
