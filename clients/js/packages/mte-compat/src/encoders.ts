/** The encoder classes. None is an `instanceof` another, which callers rely on. */

import { MKE, MTE } from "@mte-relay/core";
import type { Sealer } from "./codec/sealer.js";
import { MteEncoder } from "./encoder.js";
import { Failure, statusOf } from "./failure.js";
import { bytesOf } from "./input.js";
import { MteArrStatus } from "./results.js";
import { MteStatus } from "./status.js";
import type { MteWasm } from "./wasm.js";

/** Encodes as MTE (docs/codec.md, section 5), for short, highly sensitive data. */
export class MteEnc extends MteEncoder {
  readonly encodeType = "MTE";
  /** @internal */
  protected readonly messageType = MTE;

  static fromdefault(wasm?: MteWasm): MteEnc {
    return new MteEnc(wasm);
  }
}

/**
 * Encodes data of a fixed length as MTE: longer data is truncated, shorter data is padded with zero bytes at its end,
 * which the decoder does not remove.
 */
export class MteFlenEnc extends MteEncoder {
  readonly encodeType = "FLEN";
  /** @internal */
  protected readonly messageType = MTE;
  readonly #length: number;

  /** `length` in bytes of plaintext. Throws RangeError unless it is a positive integer. */
  constructor(wasm: MteWasm | undefined, length: number) {
    super(wasm);
    if (!Number.isSafeInteger(length) || length <= 0) {
      throw new RangeError(`the fixed length must be a positive integer, not ${length}`);
    }
    this.#length = length;
  }

  static fromdefault(wasm: MteWasm | undefined, length: number | string): MteFlenEnc {
    return new MteFlenEnc(wasm, Number(length));
  }

  /** @internal */
  protected override prepare(data: Uint8Array): Uint8Array {
    const fixed = new Uint8Array(this.#length);
    fixed.set(data.subarray(0, this.#length));
    return fixed;
  }
}

/** Encodes as MKE, as a whole or in chunks. The methods for chunks are bound: they can be passed as callbacks. */
export class MteMkeEnc extends MteEncoder {
  readonly encodeType = "MKE";
  /** @internal */
  protected readonly messageType = MKE;
  #chunked: { readonly sealer: Sealer; started: boolean } | undefined;

  static fromdefault(wasm?: MteWasm): MteMkeEnc {
    return new MteMkeEnc(wasm);
  }

  /** -1, which no message has: some clients treat a message of this length as an empty body and drop it. */
  readonly encryptFinishBytes = (): number => -1;

  /** Starts a message that is sent while it is encoded, and reserves its number. */
  readonly startEncrypt = (): MteStatus => {
    try {
      this.#endChunks();
      this.#chunked = { sealer: this.sealer(true, false), started: false };
      return MteStatus.mte_status_success;
    } catch (error) {
      return statusOf(error);
    }
  };

  /** The bytes to send for a chunk of any size; `null` if no message was started or the chunk is not bytes. */
  readonly encryptChunk = (chunk: Uint8Array): Uint8Array | null => {
    if (this.#chunked === undefined) return null;
    try {
      return this.#withHeader(this.#chunked.sealer.frames(bytesOf(chunk)));
    } catch {
      return null;
    }
  };

  /** The bytes to send last. Without them the message is invalid. */
  readonly finishEncrypt = (): MteArrStatus => {
    try {
      if (this.#chunked === undefined) throw new Failure(MteStatus.mte_status_unsupported);
      const last = this.#withHeader(this.#chunked.sealer.frame(new Uint8Array(), true));
      return new MteArrStatus(last, MteStatus.mte_status_success);
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
    this.#chunked?.sealer.close();
    this.#chunked = undefined;
  }

  /** The message's header goes out with its first bytes. */
  #withHeader(frames: Uint8Array): Uint8Array {
    const chunked = this.#chunked!;
    if (chunked.started) return frames;
    chunked.started = true;
    const out = new Uint8Array(chunked.sealer.header.length + frames.length);
    out.set(chunked.sealer.header);
    out.set(frames, chunked.sealer.header.length);
    return out;
  }
}
