/**
 * The functions that users of the relay's v4 clients know: {@link initMteRelayClient} and {@link mteFetch}. They share
 * one set of options for all relays; the relay of a request is the origin of its URL.
 */

import { type CreateRelayClientOptions, createRelayClient, type RelayClient } from "./client.js";
import { MteRelayError } from "./errors.js";
import type { MteOptions, RelayClientOptions } from "./options.js";

/** Options of {@link initMteRelayClient}. */
export interface InitOptions extends RelayClientOptions {
  /** Where relative URLs belong. Default: the page's own origin. */
  url?: string | URL;
  /** Of v4; the open codec needs no license. */
  licenseCompany?: string;
  /** Of v4; the open codec needs no license. */
  licenseKey?: string;
  /** Of v4; without effect. */
  mtePoolSize?: number;
  /** Of v4; without effect. */
  mkePoolSize?: number;
  /** Of v4; the same as `encodeType`. */
  defaultEncodeType?: "MTE" | "MKE";
}

/** Clients of more relays than this are not kept. */
const MOST_RELAYS = 32;

let settings: InitOptions = {};
/** By origin, the one used last at the end. */
let clients: Map<string, RelayClient> | undefined;

/**
 * Sets the defaults of {@link mteFetch}. Call it once, early; without it, everything has its default. Pairs that were
 * made before are dropped.
 *
 * ```ts
 * await initMteRelayClient({ numberOfPairs: 5, encodeType: "MKE", encodeUrls: true, encodeHeaders: true });
 * ```
 */
export async function initMteRelayClient(options: InitOptions = {}): Promise<void> {
  const { defaultEncodeType, ...rest } = options;
  const next = defaultEncodeType === undefined ? rest : { encodeType: defaultEncodeType, ...rest };
  // Tells at once what is wrong with them.
  createRelayClient({ ...next, url: next.url ?? "https://relay.invalid" });
  settings = next;
  clients = undefined;
}

/**
 * `fetch`, sealed, through the relay that is the URL's origin. See {@link RelayClient.fetch}.
 *
 * ```ts
 * const response = await mteFetch("https://relay.example/api/login", { method: "POST", body });
 * ```
 */
export async function mteFetch(
  input: RequestInfo | URL,
  init?: RequestInit,
  mteOptions?: MteOptions,
): Promise<Response> {
  const base = settings.url ?? globalThis.location?.origin;
  const url = input instanceof Request ? new URL(input.url) : absolute(String(input), base);
  return clientOf(url).fetch(input instanceof Request ? input : url, init, mteOptions);
}

function absolute(input: string, base: string | URL | undefined): URL {
  try {
    return new URL(input, base);
  } catch (cause) {
    const hint = base === undefined ? ": give a whole URL, or the option url to initMteRelayClient" : "";
    throw new MteRelayError("request", `cannot request ${input}: it is no URL${hint}`, { cause });
  }
}

function clientOf(url: URL): RelayClient {
  clients ??= new Map();
  const known = clients.get(url.origin);
  const client = known ?? createRelayClient(optionsFor(url));
  clients.delete(url.origin);
  clients.set(url.origin, client);
  if (clients.size > MOST_RELAYS) {
    const [oldest] = clients.keys();
    if (oldest !== undefined) clients.delete(oldest);
  }
  return client;
}

function optionsFor(url: URL): CreateRelayClientOptions {
  const own = settings.url === undefined ? undefined : new URL(settings.url);
  // The path of the option url is a prefix; of other relays nothing is known.
  return { ...settings, url: own?.origin === url.origin ? own : url.origin };
}
