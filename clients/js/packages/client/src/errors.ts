/**
 * What can go wrong, and what to do about it.
 *
 * As with fetch, everything that keeps a response from being used is a TypeError; an aborted request rejects with the
 * signal's reason. No error carries a secret.
 */

/**
 * What failed:
 *
 * | kind | meaning |
 * | --- | --- |
 * | `setting` | an option, or the environment, cannot be used |
 * | `request` | the request cannot be sent: its URL, headers, body or mode |
 * | `pairing` | the relay's answer to the pairing does not fit; is it an MTE relay? |
 * | `relay` | the relay answered with an error of its own, in the clear: see `status` |
 * | `response` | what came back is not a whole response of the relay to this request |
 * | `redirect` | the upstream redirects where this request may not go |
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
 * | `not-bound` | its sealed headers do not name a status and a request |
 * | `other-exchange` | its sealed headers name another status or another request |
 * | `unknown-body` | its sealed headers do not say whether a body follows |
 * | `clear-body` | it has a body that its sealed headers do not announce |
 * | `missing-body` | its sealed headers announce a body, and it has none |
 * | `cut-body` | its body ends too early |
 * | `changed-body` | its body does not open: changed, extended, or of another response |
 * | `body-length` | its body has another length than its sealed `content-length` says |
 * | `too-large` | its body of type MTE is longer than `maxMteBody` |
 * | `content-coding` | it is compressed in a way that this platform cannot undo |
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
 * The kind, or more exactly what happened: a {@link RefusalCode}; `not-repeated` where the relay asked for a new pairing
 * and the request was not sent again (kind `relay`).
 */
export type MteErrorCode = Exclude<MteErrorKind, "response"> | RefusalCode | "not-repeated";

/** Details of a {@link MteRelayError}. */
export interface MteErrorDetails {
  /** The status of the relay's own error. */
  status?: number | undefined;
  /** What to quote to the relay's operator. */
  requestId?: string | undefined;
  cause?: unknown;
}

/** Why a request failed. A TypeError, since that is what fetch throws. */
export class MteRelayError extends TypeError {
  override readonly name = "MteRelayError";
  readonly kind: MteErrorKind;
  /** What happened, for code that tells failures apart. */
  readonly code: MteErrorCode;
  /** The HTTP status of the relay's own error (kind `relay`). It is not authenticated. */
  readonly status: number | undefined;
  /** Finds the request in the relay's log, where the relay gave one. */
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

/** Makes a refusal of what keeps a part of a response from opening, unless it is one already. */
export function doesNotOpen(code: RefusalCode, what: string, cause: unknown): MteRelayError {
  if (cause instanceof MteRelayError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return refused(code, `${what}: ${reason}`, { cause });
}
