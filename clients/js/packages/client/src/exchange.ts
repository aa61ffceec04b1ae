/** One exchange with a relay: seal, send, open; and repeat after a new pairing. */

import { mayResend, requiresNewPairing } from "@mte-relay/core";
import { orAborted } from "./abort.js";
import { MteRelayError } from "./errors.js";
import type { RequestRules } from "./options.js";
import type { Order, Relay } from "./order.js";
import type { Pair } from "./pair/pair.js";
import { type Refusal, receive } from "./receive.js";
import { isRepeatable } from "./request/body.js";
import { sealHead } from "./request/head.js";
import type { Outgoing } from "./request/input.js";
import { emitRequest, send } from "./send.js";

/** Sends a request and opens its response; repeats it once under a new pair if the relay asks for one. */
export async function exchange(relay: Relay, order: Order): Promise<Response> {
  const { outgoing, rules } = order;
  const { debug } = relay.rules;
  let reason: string | undefined;
  for (let attempt = 1; ; attempt++) {
    const pair = await orAborted(relay.pool.take(reason), outgoing.signal);
    const answer = await attemptOnce(relay, order, pair);
    if (answer instanceof Response) return answer;
    const { error, status } = answer;
    if (!requiresNewPairing(status)) throw error;
    relay.pool.drop(pair, status);
    const why = whyNotAgain(outgoing, rules, attempt);
    if (why !== undefined) throw withNote(error, why);
    debug?.({ type: "retry", exchange: order.exchange, status, message: error.message });
    reason = error.message;
  }
}

async function attemptOnce(relay: Relay, order: Order, pair: Pair): Promise<Response | Refusal> {
  const head = await sealHead(pair, order.rules, order.outgoing);
  try {
    emitRequest(relay, order, head, pair);
    const outer = await send(relay, order, head);
    return await receive(relay, order, head, outer);
  } catch (error) {
    head.ticket.release();
    relay.rules.debug?.({ type: "failed", exchange: order.exchange, error });
    throw error;
  }
}

function whyNotAgain(outgoing: Outgoing, rules: RequestRules, attempt: number): string | undefined {
  if (attempt > 1) return "it was sent twice, under two pairs";
  if (rules.resend === "never") return `it was not sent again: resend is "never"; ${CHECK_FIRST}`;
  if (!mayResend(rules.resend, outgoing.method)) {
    const remedy = 'or set resend: "always" if it may take effect twice';
    return `it was not sent again: ${outgoing.method} is not idempotent; ${CHECK_FIRST}, ${remedy}`;
  }
  if (isRepeatable(outgoing.body)) return undefined;
  return `it was not sent again: its body is a stream; ${CHECK_FIRST}, or send a Blob or bytes instead`;
}

/** Needed because the answer that asked for a new pairing is not authenticated. */
const CHECK_FIRST = "find out whether it took effect before you send it again";

function withNote(error: MteRelayError, note: string): MteRelayError {
  const { message, status, requestId } = error;
  return new MteRelayError("not-repeated", `${message} (${note})`, { status, requestId });
}
