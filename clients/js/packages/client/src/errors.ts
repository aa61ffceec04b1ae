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
  /** The HTTP status of the relay's own error (kind `relay`). Whoever is on the way could have written it. */
  readonly status: number | undefined;
  /** Finds the request in the relay's log, where the relay gave one. */
  readonly requestId: string | undefined;

  constructor(kind: MteErrorKind, message: string, details: MteErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.kind = kind;
    this.status = details.status;
    this.requestId = details.requestId;
  }
}

/** Makes an error of what keeps a response from being used, unless it is one already. */
export function responseError(what: string, cause: unknown): MteRelayError {
  if (cause instanceof MteRelayError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new MteRelayError("response", `the response was refused: ${what}: ${reason}`, { cause });
}
