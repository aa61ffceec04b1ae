/** Which statuses make a client pair again, and which requests it then repeats (docs/protocol.md, section 5). */

import { FIRST_RELAY_STATUS, LAST_RELAY_STATUS, STATUS_CLIENT_ID, STATUS_NO_PAIR } from "./names.js";

/**
 * Which requests may be sent a second time after the relay asked for a new pairing: those whose method is idempotent
 * (GET, HEAD, OPTIONS, PUT, DELETE), all (`"always"`), or none (`"never"`).
 *
 * The relay asks only before it contacts its upstream. But its answer is not authenticated: an attacker on the path can
 * replace the real response with such an error after the request took effect, and so make it take effect twice.
 */
export type Resend = "idempotent" | "always" | "never";

/** Whether a client pairs again on this status: 559 to 568. */
export function requiresNewPairing(status: number): boolean {
  return status >= FIRST_RELAY_STATUS && status < LAST_RELAY_STATUS;
}

/** Whether a client drops all pairs of the same pairing: the relay seems to have lost its state. */
export function meansStateLost(status: number): boolean {
  return status === STATUS_NO_PAIR;
}

/** Whether a client also drops its client id. */
export function requiresNewClientId(status: number): boolean {
  return status === STATUS_CLIENT_ID;
}

/** Whether a method is idempotent (RFC 9110, section 9.2.2). */
export function isIdempotent(method: string): boolean {
  return ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"].includes(method.toUpperCase());
}

/** Whether a request of this method may be sent again. */
export function mayResend(resend: Resend, method: string): boolean {
  return resend === "always" || (resend === "idempotent" && isIdempotent(method));
}
