/** The codec's test vectors (docs/codec.md, section 9). */

import { readFileSync } from "node:fs";

export interface Vectors {
  kem: {
    id: number;
    seed: string;
    randomness: string;
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
    type: 1 | 2;
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
    expected: { type: 1 | 2; place: number };
    class: string;
    reason: string;
    message: string;
  }[];
  windows: { name: string; steps: { first: number; count: number; outcome: string }[] }[];
}

const file = new URL("../../../../../../crates/mte-codec/vectors/v1.json", import.meta.url);
export const vectors = JSON.parse(readFileSync(file, "utf8")) as Vectors;

export function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "hex"));
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
