/** The exports for the page of a browser test, at `globalThis.mte`: the client, and checks of the test vectors. */

import * as client from "../../src/index.js";
import { xWing } from "../../src/x-wing.js";
import * as vectors from "./vectors.js";

/** SHA-256 in hexadecimal. */
async function sha256(data: BufferSource): Promise<string> {
  return vectors.toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", data)));
}

/** The same bytes as the upstream's `/bytes`. */
function pattern(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 31 + (at >>> 8)) & 255;
  return bytes;
}

const mte = { ...client, ...vectors, xWing, sha256, pattern };
export type PageGlobals = { mte: typeof mte };
Object.assign(globalThis, { mte });
