/**
 * The functions of the relay's v4 clients: {@link initMteRelayClient} and {@link mteFetch}. They share one set of
 * options for all relays; the relay of a request is the origin of its URL.
 */

import { type CreateRelayClientOptions, createRelayClient, type RelayClient } from "./client.js";
import { MteRelayError } from "./errors.js";
import type { MteOptions, RelayClientOptions } from "./options.js";

/** Options of {@link initMteRelayClient}. */
export interface InitOptions extends RelayClientOptions {
  /** The base of relative URLs. Default: the page's own origin. */
  url?: string | URL;
  /** A v4 option, ignored: the open codec needs no license. */
  licenseCompany?: string;
  /** A v4 option, ignored: the open codec needs no license. */
  licenseKey?: string;
  /** A v4 option, ignored. */
  mtePoolSize?: number;
  /** A v4 option, ignored. */
  mkePoolSize?: number;
  /** The v4 name of `encodeType`. */
  defaultEncodeType?: "MTE" | "MKE";
}

/** The maximum number of relays whose clients are kept. */
const MAX_RELAYS = 32;

let settings: InitOptions = {};
/** By origin, the most recently used last. */
let clients: Map<string, RelayClient> | undefined;

/**
 * Sets the defaults of {@link mteFetch}. Call it once, early; without it, every option has its default. It drops
 * existing pairs.
 *
 * ```ts
 * await initMteRelayClient({ numberOfPairs: 5, encodeType: "MKE", encodeUrls: true, encodeHeaders: true });
 * ```
 */
export async function initMteRelayClient(options: InitOptions = {}): Promise<void> {
  const { defaultEncodeType, ...rest } = options;
  const next = defaultEncodeType === undefined ? rest : { encodeType: defaultEncodeType, ...rest };
  // Throws immediately if an option is invalid.
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
    const hint =
      base === undefined ? ": give an absolute URL, or set the option url of initMteRelayClient" : "";
    throw new MteRelayError("request", `cannot request ${input}: it is not a URL${hint}`, { cause });
  }
}

function clientOf(url: URL): RelayClient {
  clients ??= new Map();
  const known = clients.get(url.origin);
  const client = known ?? createRelayClient(optionsFor(url));
  clients.delete(url.origin);
  clients.set(url.origin, client);
  if (clients.size > MAX_RELAYS) {
    const [oldest] = clients.keys();
    if (oldest !== undefined) clients.delete(oldest);
  }
  return client;
}

function optionsFor(url: URL): CreateRelayClientOptions {
  const own = settings.url === undefined ? undefined : new URL(settings.url);
  // The path of the option url is a prefix; for other relays no prefix is known.
  return { ...settings, url: own?.origin === url.origin ? own : url.origin };
}
