/** Which answers make a client pair anew, and which requests it then repeats (docs/protocol.md, section 5). */

/**
 * When a request may be sent a second time after the relay asked for a new pairing. The relay asks only before it has
 * contacted its upstream; but its answer is in the clear, and whoever carries the connection can forge one after the
 * request was executed, and so have it executed twice.
 */
export type Resend = "always" | "idempotent" | "never";

/** Whether a client pairs anew on this status: 559 to 568. */
export function meansPairAnew(status: number): boolean {
  return status >= 559 && status <= 568;
}

/** Whether a client drops all pairs of the same pairing: the relay seems to have lost its memory. */
export function meansMemoryLost(status: number): boolean {
  return status === 560;
}

/** Whether a client drops its client id as well. */
export function meansNewClientId(status: number): boolean {
  return status === 566;
}

/** Whether a method may be executed twice as well as once (RFC 9110, section 9.2.2). */
export function isIdempotent(method: string): boolean {
  return ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"].includes(method.toUpperCase());
}

/** Whether a request of this method may be sent again. */
export function mayResend(resend: Resend, method: string): boolean {
  return resend === "always" || (resend === "idempotent" && isIdempotent(method));
}
