/** Checks of callers' arguments: callers may be plain JavaScript, and values may come from another realm. */

import { fromBase64, utf8 } from "@mte-relay/core";
import { Failure } from "./failure.js";
import { MteStatus } from "./status.js";

/** Bytes from any array buffer or view. Throws Failure. */
export function bytesOf(value: unknown): Uint8Array {
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw new Failure(MteStatus.mte_status_invalid_input);
}

/** The UTF-8 of a text. Throws Failure. */
export function textOf(value: unknown): Uint8Array {
  if (typeof value !== "string") throw new Failure(MteStatus.mte_status_invalid_input);
  return utf8(value);
}

/** The bytes of strict base64. Throws Failure. */
export function base64Of(value: unknown): Uint8Array {
  if (typeof value !== "string") throw new Failure(MteStatus.mte_status_invalid_input);
  try {
    return fromBase64(value);
  } catch {
    throw new Failure(MteStatus.mte_status_invalid_input);
  }
}

/** A nonce as canonical decimal text, from a text, a safe integer or a bigint. Undefined if it is invalid. */
export function nonceOf(value: unknown): string | undefined {
  if (typeof value === "number" && !Number.isSafeInteger(value)) return undefined;
  const text = String(value).trim();
  if (!/^[0-9]{1,64}$/.test(text)) return undefined;
  const nonce = BigInt(text);
  return nonce < 2n ** 64n ? nonce.toString() : undefined;
}

/** Checks a decoder's window argument, which has no other effect. Throws RangeError. */
export function checkWindow(name: string, value: unknown, lowest: number): void {
  const number = typeof value === "string" && value.trim() === "" ? Number.NaN : Number(value);
  if (!Number.isInteger(number) || number < lowest) {
    throw new RangeError(`${name} must be an integer of at least ${lowest}, not ${String(value)}`);
  }
}
