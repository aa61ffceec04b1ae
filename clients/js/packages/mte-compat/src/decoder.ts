/** What the two decoder classes have in common. */

import type { MessageType } from "@mte-relay/core";
import { Opener, openWhole } from "./codec/opener.js";
import { MteEndpoint } from "./endpoint.js";
import { Failure, statusOf } from "./failure.js";
import { base64Of, bytesOf, checkWindow } from "./input.js";
import { MteArrStatus, MteStrStatus } from "./results.js";
import { DECODER, type State } from "./state/blob.js";
import { DecoderSession } from "./state/decoder-session.js";
import { decoderDirection } from "./state/registry.js";
import { MteStatus } from "./status.js";
import type { MteWasm } from "./wasm.js";

const textDecoder = /* @__PURE__ */ new TextDecoder("utf-8", { ignoreBOM: true });

export abstract class MteDecoder extends MteEndpoint {
  /** @internal */
  protected readonly side = DECODER;
  /** @internal */
  protected session: DecoderSession | undefined;
  /** @internal */
  protected abstract readonly messageType: MessageType;

  /**
   * Both windows are checked but have no effect: messages have no timestamp, and every decoder accepts each number
   * once, in any order within docs/codec.md's window. Throws RangeError unless they are integers >= 0 and >= -63.
   */
  constructor(wasm?: MteWasm, tWindow: WindowSize = 0, sWindow: WindowSize = 0) {
    super(wasm);
    checkWindow("tWindow", tWindow, 0);
    checkWindow("sWindow", sWindow, -63);
  }

  /** The plaintext of a message received as bytes. */
  decode(message: Uint8Array): MteArrStatus {
    return toBytes(() => this.#open(bytesOf(message), true));
  }

  /** The plaintext of a message received as base64. */
  decodeB64(message: string): MteArrStatus {
    return toBytes(() => this.#open(base64Of(message), false));
  }

  /** The plaintext as a string; invalid UTF-8 becomes U+FFFD. */
  decodeStr(message: Uint8Array): MteStrStatus {
    return toText(() => this.#open(bytesOf(message), true));
  }

  decodeStrB64(message: string): MteStrStatus {
    return toText(() => this.#open(base64Of(message), false));
  }

  /** @internal Starts to open a message in chunks. */
  protected opener(): Opener {
    return new Opener(this.#active().taker(true));
  }

  /** @internal */
  protected begin(state: State): void {
    const direction = decoderDirection(state);
    this.end();
    this.session = new DecoderSession(direction, this.messageType);
  }

  /** @internal */
  protected save(): Uint8Array {
    return this.session!.direction.save();
  }

  /** @internal */
  protected end(): void {
    this.session = undefined;
  }

  #active(): DecoderSession {
    if (this.session === undefined) throw new Failure(MteStatus.mte_status_uninstantiated);
    return this.session;
  }

  #open(message: Uint8Array, raw: boolean): Uint8Array {
    const taker = this.#active().taker(raw);
    if (message.length === 0) throw new Failure(MteStatus.mte_status_invalid_input);
    return openWhole(taker, message);
  }
}

/** Clients of version 4 pass numbers and strings. */
export type WindowSize = number | string | bigint;

function toBytes(open: () => Uint8Array): MteArrStatus {
  try {
    return new MteArrStatus(open(), MteStatus.mte_status_success);
  } catch (error) {
    return new MteArrStatus(null, statusOf(error));
  }
}

function toText(open: () => Uint8Array): MteStrStatus {
  try {
    return new MteStrStatus(textDecoder.decode(open()), MteStatus.mte_status_success);
  } catch (error) {
    return new MteStrStatus(null, statusOf(error));
  }
}
