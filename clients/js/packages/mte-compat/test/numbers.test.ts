import { describe, expect, it } from "vitest";
import { secureRandom } from "../src/codec/random.js";
import { MteEnc, MteMkeDec, MteMkeEnc, MteStatus } from "../src/index.js";
import { DECODER, ENCODER, writeState } from "../src/state/blob.js";
import { BITS_SIZE } from "../src/state/window.js";
import { direction, headerOf, instantiated, numberOf, placeOf, wasm } from "./help/pair.js";

/** What a client does to get the next state: encode one empty text per item, save, restore the previous state. */
function rehearse(
  encoder: MteMkeEnc | MteEnc,
  state: string,
  items: number,
): { numbers: number[]; next: string } {
  encoder.restoreStateB64(state);
  const numbers = Array.from({ length: items }, () => numberOf(encoder.encodeStr("").arr));
  const next = encoder.saveStateB64()!;
  encoder.restoreStateB64(state);
  return { numbers, next };
}

/** URL, headers, body. */
function request(encoder: MteMkeEnc | MteEnc) {
  return [
    headerOf(encoder.encodeStrB64("path").str),
    headerOf(encoder.encodeStrB64("{}").str),
    headerOf(encoder.encode(new Uint8Array([1])).arr),
  ];
}

const numbers = (messages: { number: number }[]) => messages.map(({ number }) => number);
const places = (messages: { place: number }[]) => messages.map(({ place }) => place);

describe("places", () => {
  it("say that the sender cannot know what follows, if there was no rehearsal", () => {
    const { mkeEnc, mteEnc } = direction();
    expect(places(request(mkeEnc))).toEqual([0x0f, 0x1f, 0xaf]);
    mteEnc.restoreState(mkeEnc.saveState()!);
    expect(places(request(mteEnc))).toEqual([0x0f, 0x1f, 0xaf]);
  });

  it("count down if empty encodes on the same state showed how many there are", () => {
    const { mkeEnc } = direction();
    const state = mkeEnc.saveStateB64()!;
    rehearse(mkeEnc, state, 3);
    expect(places(request(mkeEnc))).toEqual([0x02, 0x11, 0xa0]);
    rehearse(mkeEnc, state, 1);
    expect(placeOf(mkeEnc.encodeStrB64("path").str)).toBe(0x00);
    rehearse(mkeEnc, state, 2);
    expect(placeOf(mkeEnc.encodeStrB64("path").str)).toBe(0x01);
    expect(placeOf(mkeEnc.encode(new Uint8Array()).arr)).toBe(0x90);
  });

  it("start at 0 again with every restore", () => {
    const { mkeEnc } = direction();
    const state = mkeEnc.saveStateB64()!;
    request(mkeEnc);
    mkeEnc.restoreStateB64(state);
    expect(placeOf(mkeEnc.encodeStrB64("path").str)).toBe(0x0f);
  });

  it("are learned on the same state only", () => {
    const { mkeEnc } = direction();
    const first = mkeEnc.saveStateB64()!;
    const { next } = rehearse(mkeEnc, first, 3);
    mkeEnc.restoreStateB64(first);
    mkeEnc.encodeStr("");
    mkeEnc.restoreStateB64(next);
    expect(placeOf(mkeEnc.encodeStrB64("path").str)).toBe(0x0f);
  });

  it("are not learned from encodes if one of them is not empty", () => {
    const { mkeEnc } = direction();
    const state = mkeEnc.saveStateB64()!;
    mkeEnc.restoreStateB64(state);
    mkeEnc.encodeStr("");
    mkeEnc.encodeStr("something");
    mkeEnc.saveState();
    mkeEnc.restoreStateB64(state);
    expect(placeOf(mkeEnc.encodeStrB64("path").str)).toBe(0x0f);
  });

  it("say unknown for messages beyond those that were announced", () => {
    const { mkeEnc } = direction();
    rehearse(mkeEnc, mkeEnc.saveStateB64()!, 1);
    expect(placeOf(mkeEnc.encodeStrB64("path").str)).toBe(0x00);
    expect(placeOf(mkeEnc.encodeStrB64("{}").str)).toBe(0x1f);
  });

  it("distinguish texts from bodies, including chunked ones", () => {
    const { mkeEnc } = direction();
    rehearse(mkeEnc, mkeEnc.saveStateB64()!, 2);
    expect(placeOf(mkeEnc.encodeB64(new Uint8Array()).str)).toBe(0x01);
    mkeEnc.startEncrypt();
    expect(placeOf(mkeEnc.finishEncrypt().arr)).toBe(0x90);
  });
});

describe("numbers", () => {
  it("come from one counter, whatever class, instance or saved state encodes", () => {
    const { mkeEnc, mteEnc, secrets } = direction();
    const state = mkeEnc.saveState()!;
    const seen: number[] = [];
    for (let round = 0; round < 20; round++) {
      const encoder = round % 2 === 0 ? MteMkeEnc.fromdefault(wasm) : MteEnc.fromdefault(wasm);
      if (round % 3 === 0) instantiated(encoder, secrets);
      else expect(encoder.restoreState(state)).toBe(MteStatus.mte_status_success);
      seen.push(...numbers(request(encoder)));
    }
    seen.push(...numbers(request(mkeEnc)), ...numbers(request(mteEnc)));
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen[0]).toBe(0);
  });

  it("are consecutive within a request, though others encode between its messages", () => {
    const { mkeEnc: a, secrets } = direction();
    const b = instantiated(MteMkeEnc.fromdefault(wasm), secrets);
    const state = a.saveStateB64()!;
    a.restoreStateB64(state);
    b.restoreStateB64(state);
    const ofA = [numberOf(a.encodeStrB64("a").str)];
    const ofB = [numberOf(b.encodeStrB64("b").str)];
    ofA.push(numberOf(a.encodeStrB64("{}").str));
    ofB.push(numberOf(b.encodeStrB64("{}").str), numberOf(b.encodeStr("body").arr));
    ofA.push(numberOf(a.encodeStr("body").arr));
    expect(ofA).toEqual([0, 1, 2]);
    expect(ofB).toEqual([3, 4, 5]);
  });

  it("of rehearsals are never used again, and those of the requests follow each other", () => {
    const { mkeEnc, secrets } = direction();
    const state = mkeEnc.saveStateB64()!;
    const encoders = Array.from({ length: 10 }, () => instantiated(MteMkeEnc.fromdefault(wasm), secrets));
    const rehearsed = encoders.map((encoder) => rehearse(encoder, state, 3).numbers);
    const real = encoders.map((encoder) => numbers(request(encoder)));
    for (const [first, second, third] of real) expect([second, third]).toEqual([first! + 1, first! + 2]);
    const all = [...rehearsed, ...real].flat();
    expect(new Set(all).size).toBe(60);
  });

  it("start beyond the rehearsed request in a process that knows the saved state alone", () => {
    const { mkeEnc } = direction();
    const { next } = rehearse(mkeEnc, mkeEnc.saveStateB64()!, 3);
    const last = numbers(request(mkeEnc)).at(-1)!;
    expect(elsewhere(next)).toBe(last + 1);
  });

  it("start beyond everything encoded in a process that knows the saved state alone", () => {
    const { mkeEnc, mteEnc } = direction();
    const last = numbers(request(mkeEnc)).at(-1)!;
    expect(elsewhere(mteEnc.saveStateB64()!)).toBe(last + 1);
  });

  it("advance to a saved state, and never go back", () => {
    const { mkeEnc } = direction();
    const old = mkeEnc.saveState()!;
    const state = {
      id: old.slice(6, 22),
      next: 1000,
      bits: new Uint8Array(),
      secret: new Uint8Array(32),
    };
    mkeEnc.restoreState(writeState(ENCODER, state));
    expect(numberOf(mkeEnc.encodeStr("a").arr)).toBe(1000);
    mkeEnc.restoreState(old);
    expect(numberOf(mkeEnc.encodeStr("a").arr)).toBeGreaterThan(1000);
  });

  it("cross epochs, in the middle of a request as well", () => {
    const { mkeEnc, mkeDec } = direction();
    for (let round = 0; round < 200; round++) {
      mkeEnc.restoreState(mkeEnc.saveState()!);
      for (const text of ["path", "{}"]) {
        expect(mkeDec.decodeStrB64(mkeEnc.encodeStrB64(text).str!).str).toBe(text);
      }
      expect(mkeDec.decodeStr(mkeEnc.encodeStr(`body ${round}`).arr!).str).toBe(`body ${round}`);
    }
    expect(mkeEnc.getReseedCounter()).toBe(600);
    expect(mkeDec.getReseedCounter()).toBe(600);
  });

  it("end at 2^32", () => {
    const state = { id: secureRandom(16), bits: new Uint8Array(), secret: new Uint8Array(32) };
    const encoder = MteMkeEnc.fromdefault(wasm);
    encoder.restoreState(writeState(ENCODER, { ...state, next: 2 ** 32 - 2 }));
    expect(numberOf(encoder.encodeStr("a").arr)).toBe(2 ** 32 - 2);
    expect(numberOf(encoder.encodeStr("a").arr)).toBe(2 ** 32 - 1);
    expect(encoder.encodeStr("a").status).toBe(MteStatus.mte_status_drbg_seedlife_reached);
    expect(encoder.startEncrypt()).toBe(MteStatus.mte_status_drbg_seedlife_reached);
    expect(encoder.restoreState(encoder.saveState()!)).toBe(MteStatus.mte_status_success);
    encoder.restoreState(writeState(ENCODER, { ...state, id: secureRandom(16), next: 2 ** 32 - 1 }));
    expect(encoder.encodeStr("").status).toBe(MteStatus.mte_status_success);
    expect(encoder.saveState(), "after a rehearsal that has no numbers left").not.toBeNull();
    expect(encoder.getReseedCounter() / encoder.getDrbgsReseedInterval()).toBeGreaterThan(0.9);
  });
});

describe("decoders", () => {
  it("accept a message once, even if several are restored from one state", () => {
    const { mkeEnc, mkeDec, secrets } = direction();
    const state = mkeDec.saveState()!;
    const message = mkeEnc.encodeStr("once").arr!;
    expect(mkeDec.decodeStr(message).str).toBe("once");
    for (const restored of [
      MteMkeDec.fromdefault(wasm),
      instantiated(MteMkeDec.fromdefault(wasm), secrets),
    ]) {
      restored.restoreState(state);
      expect(restored.decode(message).status).toBe(MteStatus.mte_status_seq_replayed);
    }
  });

  it("restored from one state accept messages in any order, and lose none", () => {
    const { mkeEnc, mkeDec } = direction();
    const state = mkeDec.saveStateB64()!;
    const messages = Array.from({ length: 300 }, (_, at) => ({
      at,
      message: mkeEnc.encodeStr(`${at}`).arr!,
    }));
    const order = messages.sort((a, b) => ((a.at * 7919) % 300) - ((b.at * 7919) % 300));
    const saved: string[] = [];
    for (const { at, message } of order) {
      const decoder = MteMkeDec.fromdefault(wasm);
      decoder.restoreStateB64(at % 5 === 0 ? state : (saved.at(-1) ?? state));
      expect(decoder.decodeStr(message).str).toBe(`${at}`);
      saved.push(decoder.saveStateB64()!);
    }
  });

  it("accept the messages of a response in order, whatever other responses arrive between them", () => {
    const { mkeEnc, mkeDec } = direction();
    const response = () => {
      rehearse(mkeEnc, mkeEnc.saveStateB64()!, 2);
      return [mkeEnc.encodeStrB64("{}").str!, mkeEnc.encodeStr("body").arr!] as const;
    };
    const [a, b] = [response(), response()];
    expect(mkeDec.decodeStrB64(a[0]).str).toBe("{}");
    expect(mkeDec.decodeStrB64(b[0]).str).toBe("{}");
    expect(mkeDec.decodeStr(b[1]).str).toBe("body");
    expect(mkeDec.decodeStr(a[1]).str).toBe("body");
  });

  it("refuse the body of another response", () => {
    const { mkeEnc, mkeDec, secrets } = direction();
    const response = () => {
      rehearse(mkeEnc, mkeEnc.saveStateB64()!, 2);
      return [mkeEnc.encodeStrB64("{}").str!, mkeEnc.encodeStr("body").arr!] as const;
    };
    const [a, b] = [response(), response()];
    expect(mkeDec.decodeStrB64(a[0]).str).toBe("{}");
    expect(mkeDec.decodeStr(b[1]).status).toBe(MteStatus.mte_status_out_of_place);
    const other = instantiated(MteMkeDec.fromdefault(wasm), secrets);
    expect(other.decodeStr(b[1]).str, "a decoder that has seen no headers accepts it").toBe("body");
  });

  it("accept a body whose headers could not announce it", () => {
    const { mkeEnc, mkeDec } = direction();
    expect(mkeDec.decodeStrB64(mkeEnc.encodeStrB64("{}").str!).str).toBe("{}");
    expect(mkeDec.decodeStr(mkeEnc.encodeStr("body").arr!).str).toBe("body");
  });

  it("stay within the window of docs/codec.md", () => {
    const { mkeEnc, mkeDec } = direction();
    const old = mkeEnc.encodeStr("old").arr!;
    const raise = (next: number) => {
      const id = mkeDec.saveState()!.slice(6, 22);
      const state = { id, next, bits: new Uint8Array(BITS_SIZE), secret: new Uint8Array(32) };
      mkeDec.restoreState(writeState(DECODER, state));
    };
    raise(600);
    expect(mkeDec.decode(old).status).toBe(MteStatus.mte_status_seq_outside_window);
  });
});

/** The first number that a process uses if it knows only a saved state. */
function elsewhere(state: string): number {
  const directions = (globalThis as Record<symbol, { encoders: Map<string, unknown> }>)[
    Symbol.for("@mte-relay/mte-compat directions 1")
  ]!;
  directions.encoders.clear();
  const encoder = MteMkeEnc.fromdefault(wasm);
  expect(encoder.restoreStateB64(state)).toBe(MteStatus.mte_status_success);
  return numberOf(encoder.encodeStr("a").arr);
}
