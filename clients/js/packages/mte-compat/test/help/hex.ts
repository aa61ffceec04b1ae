/** The types of the vector file, and its hexadecimal. */

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

export function unhex(digits: string): Uint8Array {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
