/** What a page checks: the test vectors, with the package as a browser runs it. */

import { epochOf, MTE, toBase64 } from "@mte-relay/core";
import { laterEpoch } from "../../src/codec/schedule.js";
import { Sealer } from "../../src/codec/sealer.js";
import { MteDec, MteMkeDec, MteWasm } from "../../src/index.js";
import { DECODER, writeState } from "../../src/state/blob.js";
import { BITS_SIZE } from "../../src/state/window.js";
import { hex, unhex, type Vectors } from "./hex.js";

async function check(vectors: Vectors): Promise<{ opened: number; made: number; refused: number }> {
  const wasm = new MteWasm();
  await wasm.instantiate();
  const restored = <D extends MteDec | MteMkeDec>(decoder: D, direction: number): D => {
    const root = unhex(vectors.directions[direction]!.root);
    const bits = new Uint8Array(BITS_SIZE);
    const id = crypto.getRandomValues(new Uint8Array(16));
    decoder.restoreState(writeState(DECODER, { id, next: 0, bits, secret: root }));
    return decoder;
  };
  const counts = { opened: 0, made: 0, refused: 0 };
  for (const row of vectors.messages) {
    const made = row.type === MTE ? MteDec.fromdefault(wasm) : MteMkeDec.fromdefault(wasm);
    const decoder = restored(made, row.direction);
    const message = unhex(row.message);
    const raw = (row.place & 0x80) !== 0;
    const { arr } = raw ? decoder.decode(message) : decoder.decodeB64(toBase64(message));
    if (arr !== null && hex(arr) === row.plaintext) counts.opened++;
    const draws = [unhex(row.salt), unhex(row.filler ?? "")];
    const epochSecret = laterEpoch(unhex(vectors.directions[row.direction]!.root), epochOf(row.n));
    const slot = { number: row.n, place: row.place, epochSecret };
    const sealer = new Sealer(row.type, slot, () => draws.shift()!);
    if (hex(sealer.whole(unhex(row.plaintext), row.frame_sizes)) === row.message) counts.made++;
  }
  for (const row of vectors.refused) {
    const message = unhex(row.message);
    const decoders = [MteDec.fromdefault(wasm), MteMkeDec.fromdefault(wasm)];
    const taken = decoders.some((decoder) => restored(decoder, row.direction).decode(message).arr !== null);
    if (!taken) counts.refused++;
  }
  return counts;
}

export type CompatPage = { check: typeof check };
Object.assign(globalThis, { mte: { check } });
