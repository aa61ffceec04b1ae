/** The key encapsulation mechanisms, identified by their sizes (docs/codec.md, section 2). */

/** The names that settings use. */
export type KemName = "ml-kem-512" | "ml-kem-768" | "ml-kem-1024" | "x-wing";

/** One row of the table. */
export interface KemInfo {
  id: number;
  name: KemName;
  /** Bytes of an encapsulation key. */
  keySize: number;
  /** Bytes of a ciphertext. */
  ciphertextSize: number;
}

/** All KEMs, in order of their ids. */
export const KEMS: readonly KemInfo[] = [
  { id: 1, name: "ml-kem-512", keySize: 800, ciphertextSize: 768 },
  { id: 2, name: "ml-kem-768", keySize: 1184, ciphertextSize: 1088 },
  { id: 3, name: "ml-kem-1024", keySize: 1568, ciphertextSize: 1568 },
  { id: 4, name: "x-wing", keySize: 1216, ciphertextSize: 1120 },
];

/** The KEM with this name. */
export function kemInfoOf(name: KemName): KemInfo {
  const found = KEMS.find((kem) => kem.name === name);
  if (found === undefined) {
    throw new TypeError(
      `there is no KEM ${JSON.stringify(name)}: choose ${KEMS.map((kem) => kem.name).join(", ")}`,
    );
  }
  return found;
}
