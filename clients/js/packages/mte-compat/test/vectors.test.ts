import { concat, DecodeError, epochOf, type MessageType, MTE, placeFits, toBase64 } from "@mte-relay/core";
import { ml_kem512, ml_kem768, ml_kem1024 } from "@noble/post-quantum/ml-kem.js";
import { describe, expect, it } from "vitest";
import { Opener, openWhole, type Taker } from "../src/codec/opener.js";
import { secureRandom } from "../src/codec/random.js";
import { directionId, kemEntropy, laterEpoch, rootSecret } from "../src/codec/schedule.js";
import { Sealer } from "../src/codec/sealer.js";
import { MteDec, MteMkeDec, MteStatus } from "../src/index.js";
import { DECODER, writeState } from "../src/state/blob.js";
import { DecoderDirection } from "../src/state/decoder-direction.js";
import { BITS_SIZE, StoredWindow } from "../src/state/window.js";
import { wasm } from "./help/pair.js";
import { hex, unhex, vectors } from "./help/vectors.js";

const ML_KEM: Record<number, typeof ml_kem512> = { 1: ml_kem512, 2: ml_kem768, 3: ml_kem1024 };

const stateOf = (root: string) => ({
  id: secureRandom(16),
  next: 0,
  bits: new Uint8Array(BITS_SIZE),
  secret: unhex(root),
});

/** A receiver that expects an exact type and place, as in docs/codec.md, and has received nothing. */
function receiver(root: string, type: MessageType, place: number): Taker & { commits: number } {
  const direction = new DecoderDirection(stateOf(root));
  const taker = {
    commits: 0,
    check(header: { type: number; place: number; number: number }) {
      if (header.type !== type || !placeFits(header.place, place)) throw new DecodeError("out of place");
      direction.check(header.number);
    },
    epochSecret: (number: number) => direction.epochSecret(number),
    commit(header: { number: number }) {
      taker.commits++;
      direction.commit(header.number);
    },
  };
  return taker;
}

const titled = <T extends object>(rows: readonly T[]) => rows.map((row, at) => ({ at, ...row }));

describe("key exchanges of the vector file", () => {
  it.each(vectors.kem)("algorithm $id gives the entropy", (row) => {
    const kem = ML_KEM[row.id];
    const key = unhex(row.encapsulation_key);
    const ciphertext = unhex(row.ciphertext);
    if (kem !== undefined) {
      const keys = kem.keygen(unhex(row.seed));
      expect(hex(keys.publicKey)).toBe(row.encapsulation_key);
      const made = kem.encapsulate(key, unhex(row.randomness));
      expect(hex(made.cipherText)).toBe(row.ciphertext);
      expect(hex(kem.decapsulate(ciphertext, keys.secretKey))).toBe(row.shared_secret);
    }
    expect(hex(kemEntropy(row.id, unhex(row.shared_secret), key, ciphertext))).toBe(row.entropy);
  });
});

describe("directions of the vector file", () => {
  it.each(titled(vectors.directions))("direction $at has the root and the epochs", (row) => {
    const { nonce, personalization } = row;
    const inputs = {
      entropy: unhex(row.entropy),
      auth: unhex(row.auth),
      context: unhex(row.context),
      nonce,
      personalization,
    };
    expect(hex(rootSecret(inputs))).toBe(row.root);
    for (const [epoch, secret] of Object.entries(row.epochs)) {
      expect(hex(laterEpoch(unhex(row.root), Number(epoch)))).toBe(secret);
    }
  });

  it("have identifiers that are not their roots", () => {
    const root = unhex(vectors.directions[0]!.root);
    expect(hex(root)).not.toContain(hex(directionId(root)));
  });
});

describe("messages of the vector file", () => {
  it.each(titled(vectors.messages))(
    "message $at (type $type, number $n) opens, whole and in chunks",
    (row) => {
      const root = vectors.directions[row.direction]!.root;
      const message = unhex(row.message);
      expect(hex(openWhole(receiver(root, row.type, row.place), message))).toBe(row.plaintext);
      for (const size of [1, 7, 64, 1000, 65_556]) {
        if (size < 64 && message.length > 10_000) continue;
        const opener = new Opener(receiver(root, row.type, row.place));
        const opened: Uint8Array[] = [];
        for (let at = 0; at < message.length; at += size)
          opened.push(opener.push(message.slice(at, at + size)));
        opened.push(opener.finish());
        expect(hex(concat(...opened)), `pieces of ${size}`).toBe(row.plaintext);
      }
    },
  );

  it.each(titled(vectors.messages))("message $at is decoded by the class of its type", (row) => {
    const decoder = row.type === MTE ? MteDec.fromdefault(wasm) : MteMkeDec.fromdefault(wasm);
    const state = writeState(DECODER, stateOf(vectors.directions[row.direction]!.root));
    expect(decoder.restoreState(state)).toBe(MteStatus.mte_status_success);
    const message = unhex(row.message);
    const raw = (row.place & 0x80) !== 0;
    const { arr, status } = raw ? decoder.decode(message) : decoder.decodeB64(toBase64(message));
    expect(decoder.getStatusName(status)).toBe("mte_status_success");
    expect(hex(arr!)).toBe(row.plaintext);
  });

  it.each(titled(vectors.messages))("message $at is reproduced from its randomness", (row) => {
    const draws = [unhex(row.salt), unhex(row.filler ?? "")];
    const epochSecret = laterEpoch(unhex(vectors.directions[row.direction]!.root), epochOf(row.n));
    const sealer = new Sealer(row.type, { number: row.n, place: row.place, epochSecret }, (size) => {
      const drawn = draws.shift()!;
      expect(drawn.length).toBe(size);
      return drawn;
    });
    expect(hex(sealer.whole(unhex(row.plaintext), row.frame_sizes))).toBe(row.message);
  });
});

describe("refused messages of the vector file", () => {
  it.each(titled(vectors.refused))("message $at is refused: $reason", (row) => {
    const root = vectors.directions[row.direction]!.root;
    const message = unhex(row.message);
    const own = { type: (message[0] ?? 0) as MessageType, place: message[1] ?? 0 };
    for (const { type, place } of [row.expected, own]) {
      expect(() => openWhole(receiver(root, type, place), message)).toThrow(DecodeError);
      const pieces = new Opener(receiver(root, type, place));
      expect(() => {
        for (let at = 0; at < message.length; at += 5) pieces.push(message.slice(at, at + 5));
        pieces.finish();
      }).toThrow(DecodeError);
    }
    for (const decoder of [MteDec.fromdefault(wasm), MteMkeDec.fromdefault(wasm)]) {
      decoder.restoreState(writeState(DECODER, stateOf(root)));
      expect(decoder.decode(message).arr).toBeNull();
      expect(decoder.decodeB64(toBase64(message)).arr).toBeNull();
    }
  });
});

describe("windows of the vector file", () => {
  it.each(vectors.windows)("$name", ({ steps }) => {
    let window = new StoredWindow();
    for (const { first, count, outcome } of steps) {
      const tried = new StoredWindow(window.highest, window.bits);
      let got = "taken";
      try {
        for (let number = first; number < first + count; number++) tried.take(number);
        window = tried;
      } catch (error) {
        got = (error as DecodeError).reason;
      }
      expect(got, `${count} from ${first}`).toBe(outcome);
    }
  });
});
