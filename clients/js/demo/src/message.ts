/** The parts of a sealed message, for display: docs/codec.md, section 4. */

/** A range of bytes with one meaning. */
export interface Region {
  kind: "head" | "salt" | "frame" | "text" | "tag";
  from: number;
  to: number;
}

/** What each region is. */
export const LEGEND: [Region["kind"], string][] = [
  ["head", "type, place, number"],
  ["salt", "random"],
  ["frame", "length"],
  ["text", "ciphertext"],
  ["tag", "tag"],
];

/** The regions of the message that starts with `bytes`. */
export function regions(bytes: Uint8Array): Region[] {
  const all: Region[] = [
    { kind: "head", from: 0, to: 10 },
    { kind: "salt", from: 10, to: 26 },
  ];
  for (let at = 26; at + 4 <= bytes.length; ) {
    const length = new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0) & 0x7fffffff;
    const end = at + 4 + length;
    all.push({ kind: "frame", from: at, to: at + 4 }, { kind: "text", from: at + 4, to: end });
    all.push({ kind: "tag", from: end, to: end + 16 });
    at = end + 16;
  }
  return all.filter(({ from, to }) => from < bytes.length && to > from);
}

/** The bytes of hexadecimal text. */
export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

/** The bytes of base64; undefined if it is invalid. */
export function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}
