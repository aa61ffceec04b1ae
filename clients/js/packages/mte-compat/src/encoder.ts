/** What the three encoder classes have in common. */

import { type MessageType, toBase64 } from "@mte-relay/core";
import { Sealer } from "./codec/sealer.js";
import { MteEndpoint, stateName } from "./endpoint.js";
import { Failure, statusOf } from "./failure.js";
import { bytesOf, textOf } from "./input.js";
import { MteArrStatus, MteStrStatus } from "./results.js";
import { ENCODER, type State } from "./state/blob.js";
import { EncoderSession } from "./state/encoder-session.js";
import { encoderDirection } from "./state/registry.js";
import { MteStatus } from "./status.js";

export abstract class MteEncoder extends MteEndpoint {
  /** @internal */
  protected readonly side = ENCODER;
  /** @internal */
  protected session: EncoderSession | undefined;
  /** @internal */
  protected abstract readonly messageType: MessageType;

  /** A message as bytes: a body. Its plaintext is `data`. */
  encode(data: Uint8Array): MteArrStatus {
    return this.#toBytes(() => bytesOf(data));
  }

  /** A message as bytes. Its plaintext is the UTF-8 of `text`. */
  encodeStr(text: string): MteArrStatus {
    return this.#toBytes(() => textOf(text));
  }

  /** A message as base64: a URL or a header map. */
  encodeB64(data: Uint8Array): MteStrStatus {
    return this.#toText(() => bytesOf(data));
  }

  encodeStrB64(text: string): MteStrStatus {
    return this.#toText(() => textOf(text));
  }

  /** @internal What is sealed in place of the plaintext. */
  protected prepare(data: Uint8Array): Uint8Array {
    return data;
  }

  /** @internal Starts a message. `raw`: it is sent as bytes; `empty`: it will have no plaintext. */
  protected sealer(raw: boolean, empty: boolean): Sealer {
    if (this.session === undefined) throw new Failure(MteStatus.mte_status_uninstantiated);
    return new Sealer(this.messageType, this.session.take(raw, empty));
  }

  /** @internal */
  protected begin(state: State, origin: string | undefined): void {
    const direction = encoderDirection(state);
    const before = this.session;
    this.session = undefined;
    this.end();
    if (origin === undefined) before?.release();
    this.session =
      origin !== undefined && before !== undefined
        ? before.restore(direction, origin)
        : new EncoderSession(direction, origin);
  }

  /** @internal */
  protected save(): Uint8Array {
    return this.session!.save(stateName);
  }

  /** @internal */
  protected end(): void {
    this.session?.release();
    this.session = undefined;
  }

  #toBytes(read: () => Uint8Array): MteArrStatus {
    try {
      return new MteArrStatus(this.#seal(read(), true), MteStatus.mte_status_success);
    } catch (error) {
      return new MteArrStatus(null, statusOf(error));
    }
  }

  #toText(read: () => Uint8Array): MteStrStatus {
    try {
      return new MteStrStatus(toBase64(this.#seal(read(), false)), MteStatus.mte_status_success);
    } catch (error) {
      return new MteStrStatus(null, statusOf(error));
    }
  }

  #seal(data: Uint8Array, raw: boolean): Uint8Array {
    return this.sealer(raw, data.length === 0).whole(this.prepare(data));
  }
}
