/** The test vectors shared by all implementations, and checks of them that run in Node and in a browser. */

import {
  type Bytes,
  concat,
  DecodeError,
  KEMS,
  type KemName,
  kemInfoOf,
  type MessageType,
  makeHeader,
  placeFits,
  readHeader,
} from "@mte-relay/core";
import { ml_kem768_x25519 } from "@noble/post-quantum/hybrid.js";
import { Decoder } from "../../src/codec/decoder.js";
import { type Expected, Opener, openMessage } from "../../src/codec/open.js";
import {
  type EpochKey,
  entropyOf,
  epochKey,
  nextEpoch,
  nextEpochSecret,
  rootSecret,
} from "../../src/codec/schedule.js";
import { Sealer } from "../../src/codec/seal.js";
import { mlKem, nobleMlKem, syncKey } from "../../src/crypto/kem.js";

export interface Vectors {
  kem: {
    id: number;
    seed: string;
    encapsulation_key: string;
    ciphertext: string;
    shared_secret: string;
    entropy: string;
  }[];
  directions: {
    entropy: string;
    auth: string;
    nonce: string;
    personalization: string;
    context: string;
    root: string;
    epochs: Record<string, string>;
  }[];
  messages: {
    direction: number;
    type: MessageType;
    place: number;
    n: number;
    salt: string;
    frame_sizes: number[];
    filler?: string;
    plaintext: string;
    message: string;
  }[];
  refused: {
    direction: number;
    expected: { type: MessageType; place: number };
    message: string;
    class: string;
    reason: string;
  }[];
}

export function hex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function same(got: Uint8Array, expected: string, what: string): void {
  if (toHex(got) !== expected)
    throw new Error(`${what}: got ${toHex(got).slice(0, 64)}, expected ${expected.slice(0, 64)}`);
}

/** Decapsulating with a key from its seed gives the shared secret, which gives the entropy. */
export async function checkKem(vector: Vectors["kem"][number]): Promise<void> {
  const { name } = KEMS.find((kem) => kem.id === vector.id)!;
  const key = syncKey(name === "x-wing" ? ml_kem768_x25519 : nobleMlKem(name), hex(vector.seed));
  same(key.encapsulationKey, vector.encapsulation_key, "encapsulation key");
  const shared = await key.decapsulate(hex(vector.ciphertext));
  same(shared, vector.shared_secret, "shared secret");
  const entropy = await entropyOf(vector.id, shared, key.encapsulationKey, hex(vector.ciphertext));
  same(entropy, vector.entropy, "entropy");
}

/** A fresh key decapsulates what was encapsulated to it: the platform's ML-KEM agrees with the one in JavaScript. */
export async function checkFreshKey(name: Exclude<KemName, "x-wing">): Promise<void> {
  const key = await mlKem(name).generate();
  const { keySize } = kemInfoOf(name);
  if (key.encapsulationKey.length !== keySize)
    throw new Error(`a key of ${key.encapsulationKey.length} bytes`);
  const kem = nobleMlKem(name) as unknown as {
    encapsulate(key: Uint8Array): { cipherText: Uint8Array; sharedSecret: Uint8Array };
  };
  const { cipherText, sharedSecret } = kem.encapsulate(key.encapsulationKey);
  same(await key.decapsulate(cipherText), toHex(sharedSecret), "shared secret");
}

async function rootOf(vector: Vectors["directions"][number]): Promise<Bytes> {
  const { nonce, personalization } = vector;
  return rootSecret(hex(vector.entropy), {
    nonce,
    personalization,
    auth: hex(vector.auth),
    context: hex(vector.context),
  });
}

/** A direction's root and epochs are derived as the vector says. */
export async function checkDirection(vector: Vectors["directions"][number]): Promise<void> {
  const root = await rootOf(vector);
  same(root, vector.root, "root");
  const last = Math.max(...Object.keys(vector.epochs).map(Number));
  let secret = root;
  for (let epoch = 0; epoch <= last; epoch++) {
    const expected = vector.epochs[epoch];
    if (expected !== undefined) same(secret, expected, `epoch ${epoch}`);
    secret = await nextEpochSecret(await epochKey(secret));
  }
}

async function decoderOf(vectors: Vectors, direction: number): Promise<Decoder> {
  return new Decoder(await epochKey(await rootOf(vectors.directions[direction]!)));
}

async function epochOfMessage(vectors: Vectors, direction: number, n: number): Promise<EpochKey> {
  let key = await epochKey(await rootOf(vectors.directions[direction]!));
  for (let epoch = 0; epoch < Math.floor(n / 32); epoch++) key = await nextEpoch(key);
  return key;
}

/** A message opens to its plaintext, whole and in chunks, and can be reproduced from its plaintext. */
export async function checkMessage(vectors: Vectors, vector: Vectors["messages"][number]): Promise<void> {
  const { direction, type, place, n } = vector;
  const message = hex(vector.message);
  const expected: Expected = { type, fits: (at) => at === place, number: n };

  const decoder = await decoderOf(vectors, direction);
  const opened = await openMessage(decoder, expected, message);
  same(opened.plaintext, vector.plaintext, "plaintext");
  decoder.commit(n, 1, opened.reached);
  await openMessage(decoder, expected, message).then(
    () => {
      throw new Error("the same message was accepted twice");
    },
    (error) => {
      if (!(error instanceof DecodeError) || error.reason !== "replayed") throw error;
    },
  );

  for (const size of message.length < 4096 ? [1, 7, 27] : [1000, 65_537]) {
    const opener = new Opener(await decoderOf(vectors, direction), expected);
    const pieces: Bytes[] = [];
    for (let at = 0; at < message.length; at += size) {
      opener.push(message.slice(at, at + size));
      for (const frame of await opener.frames()) pieces.push(frame.data);
    }
    opener.end();
    const data = concat(...pieces);
    same(type === 2 ? await opener.untoken(data) : data, vector.plaintext, `plaintext in pieces of ${size}`);
  }

  const epoch = await epochOfMessage(vectors, direction, n);
  const sealer = await Sealer.with(epoch, makeHeader(type, place, n, hex(vector.salt)));
  const filler = vector.filler === undefined ? undefined : hex(vector.filler);
  same(await sealer.whole(hex(vector.plaintext), filler, vector.frame_sizes), vector.message, "message");
}

/** A message is refused, whatever the receiver expects. */
export async function checkRefused(vectors: Vectors, vector: Vectors["refused"][number]): Promise<void> {
  const message = hex(vector.message);
  const looked: Expected[] = [
    { type: vector.expected.type, fits: (at) => placeFits(at, vector.expected.place) },
  ];
  try {
    const header = readHeader(message);
    looked.push({ type: header.type, fits: (at) => at === header.place });
  } catch {
    // It has no header to expect.
  }
  for (const expected of looked) {
    const decoder = await decoderOf(vectors, vector.direction);
    let opened = false;
    try {
      const { header } = await openMessage(decoder, expected, message);
      decoder.commit(header.number, 1);
      opened = true;
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
    }
    if (opened) throw new Error(`accepted: ${vector.reason}`);
  }
}
