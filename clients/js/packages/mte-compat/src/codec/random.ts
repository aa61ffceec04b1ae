/** The platform's secure random source. */

/** `size` random bytes. Tests pass their own source, to reproduce the messages of the vector file. */
export type Random = (size: number) => Uint8Array;

/** The maximum size for one call of `getRandomValues`. */
const QUOTA = 65_536;

export const secureRandom: Random = (size) => {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += QUOTA) globalThis.crypto.getRandomValues(bytes.subarray(at, at + QUOTA));
  return bytes;
};

/** Whether there is one: browsers and workers, Node 20 and later, Deno and Bun have it. */
export function hasSecureRandom(): boolean {
  return typeof globalThis.crypto?.getRandomValues === "function";
}
