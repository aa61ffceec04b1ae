/** Requesting a client id and pairs from the relay (docs/protocol.md, section 2). */

import { controlClientId, ROUTE_HELLO, ROUTE_PAIR, STATUS_CLIENT_ID, X_MTE_RELAY } from "@mte-relay/core";
import type { Kem } from "../crypto/kem.js";
import { subtle } from "../crypto/platform.js";
import { MteRelayError } from "../errors.js";
import type { Observe } from "../observe.js";
import { readLimited, relayError } from "../response/clear.js";
import { Offer } from "./offer.js";
import type { NewPairs } from "./pool.js";

/** An answer with 100 pairs is shorter. */
const MAX_ANSWER_BYTES = 4 << 20;

/** The inputs of a pairing. */
export interface PairingPlan {
  /** Origin and path prefix of the relay. */
  base: string;
  pairs: number;
  kem: Kem;
  /** Milliseconds that hello and pairing may take together. */
  timeout: number;
  credentials: RequestCredentials;
  fetch: typeof fetch;
  observe: Observe | undefined;
}

/** Requests a client id if there is none, then pairs. */
export async function createPairs(
  plan: PairingPlan,
  known: string | undefined,
  reason: string | undefined,
): Promise<NewPairs> {
  // Fails before anything is sent if there is no WebCrypto.
  subtle();
  const signal = AbortSignal.timeout(plan.timeout);
  try {
    return await new Pairing(plan, signal, reason).run(known);
  } catch (cause) {
    if (!signal.aborted) throw cause;
    const message = `pairing with the relay took longer than ${plan.timeout / 1000} s: is ${plan.base} reachable?`;
    throw new MteRelayError("timeout", message, { cause });
  }
}

class Pairing {
  constructor(
    private readonly plan: PairingPlan,
    private readonly signal: AbortSignal,
    private readonly reason: string | undefined,
  ) {}

  async run(known: string | undefined): Promise<NewPairs> {
    if (known !== undefined) {
      try {
        return await this.#pairUnder(known);
      } catch (error) {
        // The relay does not accept the id because its secret has changed. Continue as a new client.
        if (!(error instanceof MteRelayError && error.status === STATUS_CLIENT_ID)) throw error;
      }
    }
    return this.#pairUnder(await this.#hello());
  }

  async #hello(): Promise<string> {
    const response = await this.#call(ROUTE_HELLO, { method: "HEAD" });
    if (response.status !== 200) throw await relayError(response);
    const id = controlClientId(response.headers.get(X_MTE_RELAY));
    if (id === undefined) {
      const reason =
        "the answer has no client id: is this an MTE relay, and if the page has another origin, is that origin in its cors_origins?";
      throw new MteRelayError("pairing", `${this.plan.base}${ROUTE_HELLO}: ${reason}`);
    }
    this.plan.observe?.({ type: "client-id", clientId: id });
    return id;
  }

  async #pairUnder(clientId: string): Promise<NewPairs> {
    const { plan } = this;
    const began = performance.now();
    const offer = await Offer.make(plan.pairs, plan.kem);
    const body = offer.toJson();
    const headers = { [X_MTE_RELAY]: clientId, "content-type": "application/json" };
    const response = await this.#call(ROUTE_PAIR, { method: "POST", headers, body });
    if (response.status !== 200) throw await relayError(response);
    const answer = await readLimited(response, MAX_ANSWER_BYTES);
    const pairs = await offer.accept(clientId, answer);
    plan.observe?.({
      type: "paired",
      pairs: pairs.length,
      kem: plan.kem.name,
      sent: body.length,
      received: answer.length,
      milliseconds: performance.now() - began,
      reason: this.reason,
    });
    return { clientId, pairs };
  }

  #call(route: string, init: RequestInit): Promise<Response> {
    const { plan, signal } = this;
    const { credentials } = plan;
    return plan.fetch(plan.base + route, {
      ...init,
      credentials,
      signal,
      cache: "no-store",
      redirect: "error",
    });
  }
}
