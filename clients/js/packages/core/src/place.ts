/** The place byte: where in its request or response a message belongs (docs/codec.md, section 4). */

/** The value in a place byte if the sender could not know how many messages follow. */
export const UNKNOWN_FOLLOWING = 15;

/** A place byte. `raw`: the message is sent as raw bytes, a body; otherwise as base64 text. */
export function place(index: number, following: number, raw = false): number {
  return (raw ? 0x80 : 0) | (index << 4) | following;
}

/** How many messages follow the one with this place; 15 means unknown. */
export function followingOf(place: number): number {
  return place & 15;
}

/** Whether `got` is valid where `expected` is due: a header may always say 15 for what follows. */
export function placeFits(got: number, expected: number): boolean {
  return got === expected || got === (expected | UNKNOWN_FOLLOWING);
}
