/** A client of one relay. */

import { orAborted } from "./abort.js";
import { MteRelayError } from "./errors.js";
import { exchange } from "./exchange.js";
import {
  clientRules,
  type MteOptions,
  type RelayClientOptions,
  type RequestRules,
  requestRules,
} from "./options.js";
import type { Relay } from "./order.js";
import { createPairs } from "./pair/pairing.js";
import { Pool } from "./pair/pool.js";
import { MAX_REDIRECTS, redirectOf } from "./redirect.js";
import { gather, inMemory } from "./request/body.js";
import { type Outgoing, readInput } from "./request/input.js";
import { streamsUploads } from "./transport.js";

/** Settings of {@link createRelayClient}. */
export interface CreateRelayClientOptions extends RelayClientOptions {
  /** The relay: `"https://relay.example"`. A path in it is a `pathPrefix`. */
  url: string | URL;
}

/** Sends requests through one relay. Its methods need no `this`. */
export interface RelayClient {
  /** The relay's origin. */
  readonly url: string;
  /** The signed client id, once there is one. Pass it as `clientId` later to remain the same client. */
  readonly clientId: string | undefined;
  /**
   * `fetch`, sealed: the same arguments, the same Response. Relative URLs are resolved against the relay; absolute URLs
   * must have the relay's origin. Pairing happens with the first request.
   *
   * Rejects with a {@link MteRelayError}, a TypeError, if the response cannot be used; with the platform's TypeError if
   * there is no connection; with the signal's reason if it is aborted. If a body was truncated or changed in transit,
   * its stream errors.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit, mteOptions?: MteOptions): Promise<Response>;
  /** Pairs now instead of with the first request. */
  pair(): Promise<void>;
}

/**
 * Creates a client for the relay at `options.url`. It sends nothing yet.
 *
 * ```ts
 * const relay = createRelayClient({ url: "https://relay.example" });
 * const response = await relay.fetch("/orders/17");
 * ```
 */
export function createRelayClient(options: CreateRelayClientOptions): RelayClient {
  const url = relayUrl(options.url);
  const path = url.pathname === "/" ? undefined : url.pathname;
  const client = new Client(
    url,
    clientRules(path === undefined ? options : { pathPrefix: path, ...options }),
  );
  return {
    url: url.origin,
    get clientId() {
      return client.relay.pool.clientId;
    },
    fetch: (input, init, mteOptions) => client.fetch(input, init, mteOptions),
    pair: () => client.pair(),
  };
}

class Client {
  readonly relay: Relay;
  #exchanges = 0;

  constructor(
    private readonly url: URL,
    rules: Relay["rules"],
  ) {
    const base = url.origin + rules.request.pathPrefix;
    const plan = {
      base,
      pairs: rules.numberOfPairs,
      kem: rules.kem,
      timeout: rules.pairingTimeout,
      credentials: rules.credentials,
      fetch: rules.fetch ?? ((...given: Parameters<typeof fetch>) => globalThis.fetch(...given)),
      observe: rules.debug,
    };
    const pool = new Pool(
      (known, reason) => createPairs(plan, known, reason),
      rules.lifetime,
      rules.clientId,
    );
    this.relay = { base, rules, pool };
  }

  async pair(): Promise<void> {
    await this.relay.pool.take();
  }

  async fetch(input: RequestInfo | URL, init?: RequestInit, options?: MteOptions): Promise<Response> {
    const rules = options ? requestRules(options, this.relay.rules.request) : this.relay.rules.request;
    let outgoing = await readInput(input, init, `${this.url.origin}/`);
    if (outgoing.url.origin !== this.url.origin) {
      const reason = `${outgoing.url.origin} is not this client's relay (${this.url.origin})`;
      throw new MteRelayError("request", `cannot request ${outgoing.url.href}: ${reason}`);
    }
    outgoing.signal.throwIfAborted();
    outgoing = await this.#prepareBody(outgoing, rules);
    const number = this.#exchanges++;
    for (let followed = 0; ; followed++) {
      const redirected = followed > 0;
      const response = await exchange(this.relay, { exchange: number, outgoing, rules, redirected });
      const next = redirectOf(response, outgoing);
      if (next === undefined) return response;
      void response.body?.cancel().catch(() => {});
      if (followed === MAX_REDIRECTS)
        throw new MteRelayError("redirect", `more than ${MAX_REDIRECTS} redirects`);
      outgoing = next;
    }
  }

  /** Buffers a body that cannot be streamed. */
  async #prepareBody(outgoing: Outgoing, rules: RequestRules): Promise<Outgoing> {
    const { body } = outgoing;
    if (body === undefined) return outgoing;
    if (rules.encodeType === "MTE") {
      // A message of this type is sealed as a whole (docs/codec.md, section 5).
      const bytes = await inMemory(body, this.relay.rules.maxMteBody);
      return { ...outgoing, body: bytes.length > 0 ? { kind: "bytes", bytes } : undefined };
    }
    if (body.kind !== "stream") return outgoing;
    // The pairing shows which protocol the connection uses.
    if (rules.uploads === "auto") await orAborted(this.pair(), outgoing.signal);
    if (await orAborted(streamsUploads(this.relay, rules), outgoing.signal)) return outgoing;
    return { ...outgoing, body: await gather(body.stream) };
  }
}

function relayUrl(text: string | URL): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new MteRelayError("setting", `url ${JSON.stringify(text)} is not a URL: give the relay's origin`, {
      cause,
    });
  }
  const refused = (reason: string) => new MteRelayError("setting", `url ${JSON.stringify(text)}: ${reason}`);
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw refused("it must start with https:// or http://");
  if (url.username !== "" || url.password !== "") throw refused("it must not have a user or password");
  if (url.search !== "" || url.hash !== "") throw refused("it must not have a query or fragment");
  return url;
}
