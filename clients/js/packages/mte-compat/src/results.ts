/** The results of encodes and decodes: bytes or a text, and a status. Callers check `"str" in result`. */

import type { MteStatus } from "./status.js";

export class MteArrStatus {
  /** `null` unless the status is success. */
  arr: Uint8Array | null;
  status: MteStatus;

  constructor(arr: Uint8Array | null, status: MteStatus) {
    this.arr = arr;
    this.status = status;
  }
}

export class MteStrStatus {
  /** `null` unless the status is success. */
  str: string | null;
  status: MteStatus;

  constructor(str: string | null, status: MteStatus) {
    this.str = str;
    this.status = status;
  }
}
