/** The decoder classes. Neither is an `instanceof` the other, which callers rely on. */

import { MKE, MTE } from "@mte-relay/core";
import type { Opener } from "./codec/opener.js";
import { MteDecoder, type WindowSize } from "./decoder.js";
import { Failure, statusOf } from "./failure.js";
import { bytesOf } from "./input.js";
import { MteArrStatus } from "./results.js";
import { MteStatus } from "./status.js";
import type { MteWasm } from "./wasm.js";

/** Decodes what `MteEnc` and `MteFlenEnc` encoded. */
export class MteDec extends MteDecoder {
  readonly encodeType = "MTE";
  /** @internal */
  protected readonly messageType = MTE;

  static fromdefault(wasm?: MteWasm, tWindow: WindowSize = 0, sWindow: WindowSize = 0): MteDec {
    return new MteDec(wasm, tWindow, sWindow);
  }
}

/** Decodes what `MteMkeEnc` encoded, as a whole or in chunks. The methods for chunks are bound. */
export class MteMkeDec extends MteDecoder {
  readonly encodeType = "MKE";
  /** @internal */
  protected readonly messageType = MKE;
  /** `failed`: the status of a chunk that was refused. */
  #chunked: { readonly opener: Opener; failed?: MteStatus } | undefined;

  static fromdefault(wasm?: MteWasm, tWindow: WindowSize = 0, sWindow: WindowSize = 0): MteMkeDec {
    return new MteMkeDec(wasm, tWindow, sWindow);
  }

  /** Starts to decode a message that arrives in chunks. */
  readonly startDecrypt = (): MteStatus => {
    try {
      this.#endChunks();
      this.#chunked = { opener: this.opener() };
      return MteStatus.mte_status_success;
    } catch (error) {
      return statusOf(error);
    }
  };

  /**
   * The plaintext that a chunk of any size completes; an empty array if none. All of it is authentic. `null` if the
   * message is refused; `finishDecrypt` says why.
   */
  readonly decryptChunk = (chunk: Uint8Array): Uint8Array | null => {
    const chunked = this.#chunked;
    if (chunked === undefined || chunked.failed !== undefined) return null;
    try {
      // Copied, since callers may reuse their buffer for the next chunk while part of this one is still pending.
      return chunked.opener.push(bytesOf(chunk).slice());
    } catch (error) {
      chunked.failed = statusOf(error);
      return null;
    }
  };

  /** Success only if the message was complete: only then may the output of `decryptChunk` be used. */
  readonly finishDecrypt = (): MteArrStatus => {
    try {
      const chunked = this.#chunked;
      if (chunked === undefined) throw new Failure(MteStatus.mte_status_unsupported);
      if (chunked.failed !== undefined) throw new Failure(chunked.failed);
      return new MteArrStatus(chunked.opener.finish(), MteStatus.mte_status_success);
    } catch (error) {
      return new MteArrStatus(null, statusOf(error));
    } finally {
      this.#endChunks();
    }
  };

  /** @internal */
  protected override end(): void {
    this.#endChunks();
    super.end();
  }

  #endChunks(): void {
    this.#chunked?.opener.close();
    this.#chunked = undefined;
  }
}
