import { fromBase64, fromUtf8 } from "@mte-relay/core";
import { describe, expect, it } from "vitest";
import { directionId, laterEpoch, rootSecret } from "../src/codec/schedule.js";
import { MteDec, MteEnc, MteMkeDec, MteMkeEnc, MteStatus } from "../src/index.js";
import { direction, wasm } from "./help/pair.js";
import { hex } from "./help/vectors.js";

describe("saved states", () => {
  it("are the same bytes, raw and as base64, and identify their format", () => {
    const { mkeEnc, mkeDec } = direction();
    for (const [endpoint, side, size] of [
      [mkeEnc, 1, 70],
      [mkeDec, 2, 134],
    ] as const) {
      const state = endpoint.saveState()!;
      expect(fromBase64(endpoint.saveStateB64()!)).toEqual(state);
      expect(fromUtf8(state.subarray(0, 4))).toBe("MTEs");
      expect([...state.subarray(4, 6)]).toEqual([1, side]);
      expect(state.length).toBe(size);
    }
  });

  it("can be moved from MTE to MKE classes of one side, and back", () => {
    const { mkeEnc, mkeDec } = direction();
    const mteEnc = MteEnc.fromdefault(wasm);
    const mteDec = MteDec.fromdefault(wasm);
    for (let round = 0; round < 3; round++) {
      mteEnc.restoreState(mkeEnc.saveState()!);
      mteDec.restoreStateB64(mkeDec.saveStateB64()!);
      expect(mteDec.decodeStr(mteEnc.encodeStr("MTE").arr!).str).toBe("MTE");
      mkeEnc.restoreStateB64(mteEnc.saveStateB64()!);
      mkeDec.restoreState(mteDec.saveState()!);
      expect(mkeDec.decodeStr(mkeEnc.encodeStr("MKE").arr!).str).toBe("MKE");
    }
  });

  it("are refused if they are of the other side or version, corrupt, truncated, extended or not a state", () => {
    const { mkeEnc, mkeDec } = direction();
    const state = mkeEnc.saveState()!;
    const invalid = MteStatus.mte_status_state_invalid;
    const fresh = MteMkeEnc.fromdefault(wasm);
    expect(fresh.restoreState(mkeDec.saveState()!)).toBe(invalid);
    expect(MteMkeDec.fromdefault(wasm).restoreState(state)).toBe(invalid);
    for (let at = 0; at < state.length; at++) {
      const damaged = state.slice();
      damaged[at]! ^= 1;
      expect(fresh.restoreState(damaged), `byte ${at}`).toBe(invalid);
    }
    expect(fresh.restoreState(state.slice(0, -1))).toBe(invalid);
    expect(fresh.restoreState(new Uint8Array([...state, 0]))).toBe(invalid);
    expect(fresh.restoreState(new Uint8Array())).toBe(invalid);
    expect(fresh.restoreState(null as unknown as Uint8Array)).toBe(invalid);
    expect(fresh.restoreStateB64("not base64")).toBe(invalid);
    expect(fresh.restoreStateB64(undefined as unknown as string)).toBe(invalid);
    expect(fresh.saveState()).toBeNull();
    expect(fresh.restoreState(state)).toBe(MteStatus.mte_status_success);
  });

  it("leave the previous state in place, if they are refused", () => {
    const { mkeEnc, mkeDec } = direction();
    expect(mkeEnc.restoreState(new Uint8Array(5))).toBe(MteStatus.mte_status_state_invalid);
    expect(mkeDec.decodeStr(mkeEnc.encodeStr("still").arr!).str).toBe("still");
  });

  it("of an encoder hold the secret of the next number's epoch, and no earlier one", () => {
    const { mkeEnc, secrets } = direction();
    const root = rootSecret(secrets);
    expect(hex(mkeEnc.saveState()!)).toContain(hex(root));
    expect(hex(mkeEnc.saveState()!)).toContain(hex(directionId(root)));
    for (let number = 0; number < 65; number++) mkeEnc.encodeStr("a");
    const state = hex(mkeEnc.saveState()!);
    for (let epoch = 0; epoch < 5; epoch++) {
      expect(state.includes(hex(laterEpoch(root, epoch))), `epoch ${epoch}`).toBe(epoch === 2);
    }
  });

  it("of a decoder hold the secret of the oldest epoch in its window, and no earlier one", () => {
    const { mkeEnc, mkeDec, secrets } = direction();
    const root = rootSecret(secrets);
    for (let number = 0; number < 600; number++) {
      const message = mkeEnc.encodeStr("a").arr!;
      if (number % 3 !== 0) expect(mkeDec.decode(message).status).toBe(0);
    }
    const state = hex(mkeDec.saveState()!);
    for (let epoch = 0; epoch < 20; epoch++) {
      expect(state.includes(hex(laterEpoch(root, epoch))), `epoch ${epoch}`).toBe(epoch === 2);
    }
  });

  it("of a decoder record what was accepted, for a process that knows nothing else", () => {
    const { mkeEnc, mkeDec } = direction();
    const messages = Array.from({ length: 700 }, (_, at) => mkeEnc.encodeStr(`${at}`).arr!);
    for (const at of [0, 5, 300, 301, 650]) mkeDec.decode(messages[at]!);
    const state = mkeDec.saveState()!;
    forget();
    const decoder = MteMkeDec.fromdefault(wasm);
    decoder.restoreState(state);
    for (const at of [300, 301, 650]) {
      expect(decoder.decode(messages[at]!).status).toBe(MteStatus.mte_status_seq_replayed);
    }
    expect(decoder.decode(messages[100]!).status).toBe(MteStatus.mte_status_seq_outside_window);
    for (const at of [139, 299, 302, 649, 651, 699])
      expect(decoder.decodeStr(messages[at]!).str).toBe(`${at}`);
  });

  it("of two processes are merged: what either has accepted is not accepted again", () => {
    const { mkeEnc, mkeDec } = direction();
    const messages = Array.from({ length: 600 }, (_, at) => mkeEnc.encodeStr(`${at}`).arr!);
    const start = mkeDec.saveState()!;
    mkeDec.decode(messages[100]!);
    mkeDec.decode(messages[590]!);
    const other = mkeDec.saveState()!;
    for (const order of ["newer last", "newer first"]) {
      forget();
      const decoder = MteMkeDec.fromdefault(wasm);
      decoder.restoreState(order === "newer first" ? other : start);
      decoder.decode(messages[200]!);
      decoder.restoreState(order === "newer first" ? start : other);
      for (const at of [100, 200, 590]) {
        expect(decoder.decode(messages[at]!).status, order).toBe(MteStatus.mte_status_seq_replayed);
      }
      expect(decoder.decodeStr(messages[591]!).str).toBe("591");
      expect(decoder.decodeStr(messages[101]!).str).toBe("101");
    }
  });
});

/** What a new process knows about any direction. */
function forget(): void {
  const key = Symbol.for("@mte-relay/mte-compat directions 1");
  const known = (globalThis as Record<symbol, Record<string, Map<string, unknown>>>)[key]!;
  for (const side of Object.values(known)) side.clear();
}
