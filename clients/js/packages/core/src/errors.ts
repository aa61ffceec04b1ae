/** Why a message or a value of the protocol is refused. */

/** Why a message does not count, as the vectors name it. */
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
 * A message that must not be used (docs/codec.md, section 8). The reason is for this side's eyes: its sender must
 * never learn it.
 */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
  readonly reason: DecodeReason;

  constructor(reason: DecodeReason, detail?: string) {
    super(detail === undefined ? reason : `${reason}: ${detail}`);
    this.reason = reason;
  }
}

/** A value of the relay protocol that is not as docs/protocol.md says. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}
