/**
 * What can go wrong, and what to do about it.
 *
 * As with fetch, the error for a response that cannot be used is a TypeError; an aborted request rejects with the
 * signal's reason. No error contains a secret.
 */

/**
 * What failed:
 *
 * | kind | meaning |
 * | --- | --- |
 * | `setting` | an option, or the environment, cannot be used |
 * | `request` | the request cannot be sent: its URL, headers, body or mode |
 * | `pairing` | the relay's answer to the pairing is invalid; is it an MTE relay? |
 * | `relay` | the relay answered with an error of its own, in the clear: see `status` |
 * | `response` | what came back is not the relay's complete response to this request |
 * | `redirect` | the upstream redirects to a URL that this request must not follow |
 * | `timeout` | pairing took too long |
 */
export type MteErrorKind = "setting" | "request" | "pairing" | "relay" | "response" | "redirect" | "timeout";

/**
 * Why a response was refused (kind `response`):
 *
 * | code | meaning |
 * | --- | --- |
 * | `not-sealed` | it has no sealed headers: it does not come from the relay's encrypted proxy |
 * | `sealed-headers` | its sealed headers do not open, or are malformed |
 * | `not-bound` | its sealed headers do not name both a status and a request |
 * | `other-exchange` | its sealed headers name a different status or request |
 * | `unknown-body` | its sealed headers do not say whether a body follows |
 * | `clear-body` | it has a body that its sealed headers do not announce |
 * | `missing-body` | its sealed headers announce a body, and it has none |
 * | `cut-body` | its body is truncated |
 * | `changed-body` | its body does not open: it was changed or extended, or belongs to another response |
 * | `body-length` | the length of its body differs from its sealed `content-length` |
 * | `too-large` | its MTE body is longer than `maxMteBody` |
 * | `content-coding` | this platform cannot decompress its content-encoding |
 */
export type RefusalCode =
  | "not-sealed"
  | "sealed-headers"
  | "not-bound"
  | "other-exchange"
  | "unknown-body"
  | "clear-body"
  | "missing-body"
  | "cut-body"
  | "changed-body"
  | "body-length"
  | "too-large"
  | "content-coding";

/**
 * The kind, or a more specific code: a {@link RefusalCode}, or `not-repeated` if the relay asked for a new pairing and
 * the request was not sent again (kind `relay`).
 */
export type MteErrorCode = Exclude<MteErrorKind, "response"> | RefusalCode | "not-repeated";

/** Details of a {@link MteRelayError}. */
export interface MteErrorDetails {
  /** The status of the relay's own error. */
  status?: number | undefined;
  /** The request id to quote to the relay's operator. */
  requestId?: string | undefined;
  cause?: unknown;
}

/** Why a request failed. A TypeError, since that is what fetch throws. */
export class MteRelayError extends TypeError {
  override readonly name = "MteRelayError";
  readonly kind: MteErrorKind;
  /** What happened, for code that distinguishes failures. */
  readonly code: MteErrorCode;
  /** The HTTP status of the relay's own error (kind `relay`). It is not authenticated. */
  readonly status: number | undefined;
  /** The request's id in the relay's log, if the relay sent one. */
  readonly requestId: string | undefined;

  constructor(code: MteErrorCode, message: string, details: MteErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.kind = kindOf(code);
    this.status = details.status;
    this.requestId = details.requestId;
  }
}

function kindOf(code: MteErrorCode): MteErrorKind {
  switch (code) {
    case "setting":
    case "request":
    case "pairing":
    case "relay":
    case "redirect":
    case "timeout":
      return code;
    case "not-repeated":
      return "relay";
    default:
      return "response";
  }
}

/** A response that must not be used. */
export function refused(code: RefusalCode, reason: string, details?: MteErrorDetails): MteRelayError {
  return new MteRelayError(code, `the response was refused: ${reason}`, details);
}

/** Wraps the reason that a part of a response does not open, unless it is already a MteRelayError. */
export function doesNotOpen(code: RefusalCode, what: string, cause: unknown): MteRelayError {
  if (cause instanceof MteRelayError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return refused(code, `${what}: ${reason}`, { cause });
}
