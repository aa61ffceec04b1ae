/**
 * A drop-in replacement for the closed module that JavaScript clients of MTE Relay version 4 import, based on the open
 * codec (docs/codec.md). Everything is synchronous except `MteWasm.instantiate`.
 *
 * @module @mte-relay/mte-compat
 */

export { MteBase } from "./base.js";
export type { WindowSize } from "./decoder.js";
export { MteDec, MteMkeDec } from "./decoders.js";
export { MteEnc, MteFlenEnc, MteMkeEnc } from "./encoders.js";
export { MteKyber, type MteKyberResult, MteKyberStatus, MteKyberStrength } from "./kyber.js";
export { MteArrStatus, MteStrStatus } from "./results.js";
export { MteStatus } from "./status.js";
export { MteWasm } from "./wasm.js";
