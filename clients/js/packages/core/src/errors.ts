/** Why a message or a value of the protocol is refused. */

/** Why a message is refused, in the terms of the test vectors. */
export type DecodeReason =
  | "malformed"
  | "out of place"
  | "not authentic"
  | "truncated"
  | "trailing"
  | "replayed"
  | "out of window"
  | "exhausted"
  | "not consecutive"
  | "too long";

/**
 * A message that must not be used (docs/codec.md, section 8). The reason is for this side only: never send it to the
 * message's sender.
 */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
  readonly reason: DecodeReason;

  constructor(reason: DecodeReason, detail?: string) {
    super(detail === undefined ? reason : `${reason}: ${detail}`);
    this.reason = reason;
  }
}

/** A value that violates the relay protocol (docs/protocol.md). */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}
