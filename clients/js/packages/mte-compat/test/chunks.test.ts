import { concat } from "@mte-relay/core";
import { describe, expect, it } from "vitest";
import { secureRandom } from "../src/codec/random.js";
import { MteMkeDec, MteMkeEnc, MteStatus } from "../src/index.js";
import { direction, headerOf, isEqual, wasm } from "./help/pair.js";

const body = secureRandom(150_000);

function chunked(encoder: MteMkeEnc, data: Uint8Array, size: number): Uint8Array[] {
  expect(encoder.startEncrypt()).toBe(MteStatus.mte_status_success);
  const out: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += size) out.push(encoder.encryptChunk(data.slice(at, at + size))!);
  const { arr, status } = encoder.finishEncrypt();
  expect(status).toBe(MteStatus.mte_status_success);
  return [...out, arr!];
}

function unchunked(decoder: MteMkeDec, message: Uint8Array, size: number) {
  decoder.startDecrypt();
  const out: Uint8Array[] = [];
  for (let at = 0; at < message.length; at += size) {
    const opened = decoder.decryptChunk(message.slice(at, at + size));
    if (opened === null) break;
    out.push(opened);
  }
  const { arr, status } = decoder.finishDecrypt();
  return { data: concat(...out, arr ?? new Uint8Array()), status };
}

describe("chunks", () => {
  it.each([1000, 65_536, 70_000, 150_000])(
    "of %i bytes come back, whole and in chunks of any size",
    (size) => {
      const { mkeEnc, mkeDec } = direction();
      expect(isEqual(mkeDec.decode(concat(...chunked(mkeEnc, body, size))).arr!, body)).toBe(true);
      for (const cut of [997, 1_000_000]) {
        const message = concat(...chunked(mkeEnc, body, size));
        expect(unchunked(mkeDec, message, cut)).toEqual({ data: body, status: 0 });
      }
    },
  );

  it("of single bytes come back", () => {
    const { mkeEnc, mkeDec } = direction();
    const message = concat(...chunked(mkeEnc, body.slice(0, 500), 1));
    expect(unchunked(mkeDec, message, 1)).toEqual({ data: body.slice(0, 500), status: 0 });
    expect(unchunked(mkeDec, mkeEnc.encode(body.slice(0, 500)).arr!, 1).data.length).toBe(500);
  });

  it("of nothing make an empty message, which opens", () => {
    const { mkeEnc, mkeDec } = direction();
    mkeEnc.startEncrypt();
    const first = mkeEnc.encryptChunk(new Uint8Array())!;
    const message = concat(first, mkeEnc.finishEncrypt().arr!);
    expect(message.length).toBe(46);
    expect(unchunked(mkeDec, message, 7)).toEqual({ data: new Uint8Array(), status: 0 });
    expect(concat(...chunked(mkeEnc, new Uint8Array(), 1)).length).toBe(46);
  });

  it("work with methods passed as callbacks", () => {
    const { mkeEnc, mkeDec } = direction();
    const { startEncrypt, encryptChunk, finishEncrypt, encryptFinishBytes } = mkeEnc;
    const { startDecrypt, decryptChunk, finishDecrypt } = mkeDec;
    startEncrypt();
    const message = [encryptChunk(body)!, finishEncrypt().arr!];
    startDecrypt();
    const opened = concat(...message.map((part) => decryptChunk(part)!));
    expect(finishDecrypt().status).toBe(MteStatus.mte_status_success);
    expect(isEqual(opened, body)).toBe(true);
    expect(encryptFinishBytes()).toBe(-1);
  });

  it("of a message that ends early are not a message", () => {
    const { mkeEnc, mkeDec } = direction();
    const message = concat(...chunked(mkeEnc, body, 1000));
    expect(unchunked(mkeDec, message.subarray(0, -20), 500).status).toBe(MteStatus.mte_status_incomplete);
    expect(unchunked(mkeDec, message.subarray(0, 0), 500).status).toBe(MteStatus.mte_status_incomplete);
  });

  it("are null from the first changed one on, and the earlier ones were authentic", () => {
    const { mkeEnc, mkeDec } = direction();
    const parts = chunked(mkeEnc, body, 100_000);
    parts[1]![40]! ^= 1;
    mkeDec.startDecrypt();
    expect(isEqual(mkeDec.decryptChunk(parts[0]!)!, body.subarray(0, 100_000))).toBe(true);
    expect(mkeDec.decryptChunk(parts[1]!)).toBeNull();
    expect(mkeDec.decryptChunk(parts[2]!)).toBeNull();
    expect({ ...mkeDec.finishDecrypt() }).toEqual({
      arr: null,
      status: MteStatus.mte_status_token_does_not_exist,
    });
  });

  it("may be in one buffer that the caller reuses", () => {
    const { mkeEnc, mkeDec } = direction();
    const message = concat(...chunked(mkeEnc, body, 50_000));
    const buffer = new Uint8Array(4096);
    const out: Uint8Array[] = [];
    mkeDec.startDecrypt();
    for (let at = 0; at < message.length; at += buffer.length) {
      const piece = message.subarray(at, at + buffer.length);
      buffer.set(piece);
      out.push(mkeDec.decryptChunk(buffer.subarray(0, piece.length))!);
      buffer.fill(0);
    }
    expect(mkeDec.finishDecrypt().status).toBe(0);
    expect(isEqual(concat(...out), body)).toBe(true);
  });

  it("require a start, and bytes", () => {
    const { mkeEnc, mkeDec } = direction();
    expect(mkeEnc.encryptChunk(body)).toBeNull();
    expect(mkeEnc.finishEncrypt().status).toBe(MteStatus.mte_status_unsupported);
    expect(mkeDec.decryptChunk(body)).toBeNull();
    expect(mkeDec.finishDecrypt().status).toBe(MteStatus.mte_status_unsupported);
    expect(MteMkeEnc.fromdefault(wasm).startEncrypt()).toBe(MteStatus.mte_status_uninstantiated);
    expect(MteMkeDec.fromdefault(wasm).startDecrypt()).toBe(MteStatus.mte_status_uninstantiated);
    mkeEnc.startEncrypt();
    expect(mkeEnc.encryptChunk("text" as unknown as Uint8Array)).toBeNull();
    mkeEnc.uninstantiate();
    expect(mkeEnc.encryptChunk(body)).toBeNull();
  });

  it("of one message reserve its number at the start, and other messages may be encoded meanwhile", () => {
    const { mkeEnc, mkeDec } = direction();
    mkeEnc.startEncrypt();
    const other = mkeEnc.encodeStr("between").arr!;
    const parts = [mkeEnc.encryptChunk(body)!, mkeEnc.finishEncrypt().arr!];
    expect(headerOf(parts[0]!).number).toBe(0);
    expect(headerOf(other).number).toBe(1);
    expect(isEqual(unchunked(mkeDec, concat(...parts), 10_000).data, body)).toBe(true);
    expect(mkeDec.decodeStr(other).str).toBe("between");
  });
});
