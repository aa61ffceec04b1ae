import { hasSecureRandom } from "./codec/random.js";

/**
 * The counterpart of the closed module's WebAssembly loader. This package uses no WebAssembly: nothing is fetched or
 * compiled, and a content security policy needs no `wasm-unsafe-eval`.
 */
export class MteWasm {
  /** Non-null once instantiated, and empty. */
  exports: Record<string, unknown> | null = null;
  /** Non-null once instantiated, and empty. */
  memory: { readonly buffer: ArrayBuffer } | null = null;

  /** Rejects if the platform has no secure source of random numbers. Ignores all arguments. */
  async instantiate(..._ignored: readonly unknown[]): Promise<void> {
    if (!hasSecureRandom()) throw new Error("crypto.getRandomValues is missing: no secure random numbers");
    this.exports ??= {};
    this.memory ??= { buffer: new ArrayBuffer(0) };
  }
}
