/** Settings: the caller's options, checked and completed with defaults. */

import {
  type EncodeType,
  isHopByHop,
  isNeverForwarded,
  isOpaque,
  isTakenFromClear,
  type KemName,
  type Resend,
  type ResponseHeaders,
  staysClear,
} from "@mte-relay/core";
import { type Kem, type MlKemName, mlKem } from "./crypto/kem.js";
import { MteRelayError } from "./errors.js";
import type { Observe } from "./observe.js";
import type { Lifetime } from "./pair/pair.js";

const MINUTE = 60_000;

/** How one request is sealed. Omitted options are taken from the client's options. */
export interface MteOptions {
  /** `"MKE"` for anything; `"MTE"` for short, highly sensitive data: it buffers each body. Default `"MKE"`. */
  encodeType?: EncodeType;
  /** Whether path and query are sealed. Default true. */
  encodeUrl?: boolean;
  /** The same as `encodeUrl`, which takes precedence if both are given. */
  encodeUrls?: boolean;
  /**
   * Which request headers are sealed: all, or those named; `false` for as few as possible. Only headers that browsers
   * and proxies add themselves can stay in the clear (`cookie`, `origin`, `referer`, `user-agent`, `accept-language`,
   * `priority`, `sec-*`, and those that trace a request or identify its sender). The relay ignores all other headers in
   * the clear, so they are always sealed. Default true.
   */
  encodeHeaders?: boolean | readonly string[];
  /**
   * Which response headers come back sealed: `"*"` for all that browsers and proxies do not need, or names. Headers
   * that describe the body (`content-type`, `etag`, `cache-control` ...) and `location` are always sealed. A clear
   * header never replaces a sealed one. Default `"*"`.
   */
  responseHeaders?: ResponseHeaders;
  /** A path prefix for every request to the relay, in the clear, as a reverse proxy may need it: `"/relay"`. */
  pathPrefix?: string;
  /**
   * Which requests may be sent a second time after the relay asked for a new pairing: see {@link Resend}. Requests
   * with a stream as body never are. Default `"idempotent"`: a POST rejects with the code `not-repeated` instead.
   */
  resend?: Resend;
  /**
   * How a ReadableStream is uploaded: `"stream"` sends it as it is read (in browsers this requires HTTP/2), `"buffer"`
   * buffers it in a Blob first. Default `"auto"`: stream wherever that is known to work.
   */
  uploads?: "auto" | "stream" | "buffer";
  /** Is called with the progress of sending the request's body, in plaintext bytes. */
  onUploadProgress?: (progress: Progress) => void;
  /** Is called with the progress of reading the response's body, in plaintext bytes. */
  onDownloadProgress?: (progress: Progress) => void;
  /** An option of v4 clients, without effect: bodies are streamed wherever possible. */
  useStreaming?: boolean;
}

/** The progress of a body. */
export interface Progress {
  loaded: number;
  /** The total length, if it is known. */
  total?: number | undefined;
}

/** Settings of a client, for its requests and its pairs. */
export interface RelayClientOptions extends Omit<MteOptions, "onUploadProgress" | "onDownloadProgress"> {
  /** How many pairs are created at a time and used in turn, 1 to 100. Default 5. */
  numberOfPairs?: number;
  /**
   * The key encapsulation of pairings: `"ml-kem-512"`, `"ml-kem-768"`, `"ml-kem-1024"`, or `xWing` of
   * `@mte-relay/client/x-wing`. Default `"ml-kem-768"`.
   */
  kem?: MlKemName | Kem;
  /** The maximum plaintext bytes of an MTE body, sent or received; relays have a limit too. Default 1 MiB. */
  maxMteBody?: number;
  /** Milliseconds after which a pair is renewed. Default 20 hours; relays keep pairs for 24 hours by default. */
  pairMaxAge?: number;
  /** Milliseconds without a request after which a pair is no longer used. Default 25 minutes; for relays, 30. */
  pairIdle?: number;
  /** The same for a pair that was never used. Default 8 minutes; for relays, 10. */
  pairUnused?: number;
  /** Timeout of a pairing in milliseconds. Default 20 seconds. Requests have no timeout: use an AbortSignal. */
  pairingTimeout?: number;
  /** The credentials mode of pairings; each request has its own. Default `"same-origin"`. */
  credentials?: RequestCredentials;
  /** A signed client id from an earlier session, to use instead of requesting a new one. */
  clientId?: string;
  /**
   * What to do with the relay's own errors other than 559 to 569, such as 404, 413, 429 or 502: `"throw"` a
   * {@link MteRelayError}, or return them as a `"response"`. They are in the clear: an attacker on the path could
   * have forged them. Default `"throw"`.
   */
  relayErrors?: "throw" | "response";
  /** The fetch function to send with. Default: the global one. */
  fetch?: typeof fetch;
  /** Is called with each event: see {@link debugLog}. */
  debug?: Observe;
}

/** Settings of one request, complete. */
export interface RequestRules {
  encodeType: EncodeType;
  encodeUrl: boolean;
  /** Whether a header, named in lower case, is sealed. */
  seals: (name: string) => boolean;
  responseHeaders: ResponseHeaders;
  pathPrefix: string;
  resend: Resend;
  uploads: "auto" | "stream" | "buffer";
  onUploadProgress: ((progress: Progress) => void) | undefined;
  onDownloadProgress: ((progress: Progress) => void) | undefined;
}

/** Settings of a client, complete. */
export interface ClientRules {
  request: RequestRules;
  numberOfPairs: number;
  kem: Kem;
  maxMteBody: number;
  lifetime: Lifetime;
  pairingTimeout: number;
  credentials: RequestCredentials;
  clientId: string | undefined;
  relayErrors: "throw" | "response";
  fetch: typeof fetch | undefined;
  debug: Observe | undefined;
}

/** Checks a client's options. Throws a MteRelayError that names what is wrong. */
export function clientRules(options: RelayClientOptions): ClientRules {
  const { numberOfPairs = 5, kem = "ml-kem-768", clientId } = options;
  if (!Number.isInteger(numberOfPairs) || numberOfPairs < 1 || numberOfPairs > 100) {
    throw setting(`numberOfPairs is ${numberOfPairs}: choose 1 to 100`);
  }
  if (clientId !== undefined && !isOpaque(clientId))
    throw setting("clientId must be visible ASCII without a comma");
  return {
    request: requestRules(options, undefined),
    numberOfPairs,
    kem: typeof kem === "string" ? mlKem(oneOf("kem", kem, ML_KEMS)) : kem,
    maxMteBody: positive("maxMteBody", options.maxMteBody ?? 1 << 20),
    lifetime: {
      maxAge: positive("pairMaxAge", options.pairMaxAge ?? 20 * 60 * MINUTE),
      idle: positive("pairIdle", options.pairIdle ?? 25 * MINUTE),
      unused: positive("pairUnused", options.pairUnused ?? 8 * MINUTE),
    },
    pairingTimeout: positive("pairingTimeout", options.pairingTimeout ?? 20_000),
    credentials: options.credentials ?? "same-origin",
    clientId,
    relayErrors: oneOf("relayErrors", options.relayErrors ?? "throw", ["throw", "response"]),
    fetch: options.fetch,
    debug: options.debug,
  };
}

const ML_KEMS: readonly MlKemName[] = ["ml-kem-512", "ml-kem-768", "ml-kem-1024"] satisfies KemName[];

/** Checks a request's options; omitted ones are taken from `defaults`. */
export function requestRules(options: MteOptions, defaults: RequestRules | undefined): RequestRules {
  const { encodeHeaders } = options;
  const encodeType = options.encodeType ?? defaults?.encodeType ?? "MKE";
  return {
    encodeType: oneOf("encodeType", encodeType, ["MKE", "MTE"]),
    encodeUrl: options.encodeUrl ?? options.encodeUrls ?? defaults?.encodeUrl ?? true,
    seals: encodeHeaders === undefined && defaults ? defaults.seals : sealedNames(encodeHeaders ?? true),
    responseHeaders:
      options.responseHeaders === undefined
        ? (defaults?.responseHeaders ?? "*")
        : wantedSealed(options.responseHeaders),
    pathPrefix: options.pathPrefix === undefined ? (defaults?.pathPrefix ?? "") : prefix(options.pathPrefix),
    resend: oneOf("resend", options.resend ?? defaults?.resend ?? "idempotent", [
      "idempotent",
      "always",
      "never",
    ]),
    uploads: oneOf("uploads", options.uploads ?? defaults?.uploads ?? "auto", ["auto", "stream", "buffer"]),
    onUploadProgress: options.onUploadProgress,
    onDownloadProgress: options.onDownloadProgress,
  };
}

function sealedNames(encodeHeaders: boolean | readonly string[]): (name: string) => boolean {
  if (typeof encodeHeaders === "boolean") return (name) => encodeHeaders || !isTakenFromClear(name);
  const names = new Set(encodeHeaders.map((name) => name.toLowerCase()));
  for (const name of names) {
    if (isNeverForwarded(name))
      throw setting(`header ${name} belongs to the connection: it cannot be sealed`);
  }
  return (name) => names.has(name) || !isTakenFromClear(name);
}

function wantedSealed(wanted: ResponseHeaders): ResponseHeaders {
  if (wanted === "*") return wanted;
  if (typeof wanted === "string") {
    throw setting(`responseHeaders is ${JSON.stringify(wanted)}: give "*", or a list of header names`);
  }
  const names = new Set(wanted.map((name) => name.toLowerCase()));
  for (const name of names) {
    if (!/^[!#$%&'+\-.^_`|~0-9a-z]+$/.test(name))
      throw setting(`responseHeaders: ${JSON.stringify(name)} is not a header name`);
    if (staysClear(name) || isHopByHop(name))
      throw setting(`responseHeaders: ${name} stays in the clear, since browsers or proxies act on it`);
  }
  // Browsers would follow a redirect whose target is in the clear.
  return [...names.add("location")];
}

/** A path with a leading slash and without a trailing one, or the empty string. */
function prefix(path: string): string {
  const segments = path.split("/").filter((segment) => segment !== "");
  if (/[?#\\]/.test(path)) throw setting(`pathPrefix ${JSON.stringify(path)} must be a path`);
  return segments.map((segment) => `/${segment}`).join("");
}

function positive(name: string, value: number): number {
  if (!(value > 0)) throw setting(`${name} is ${value}: it must be above 0`);
  return value;
}

function oneOf<T extends string>(name: string, value: T, choices: readonly T[]): T {
  if (!choices.includes(value))
    throw setting(`${name} is ${JSON.stringify(value)}: choose ${choices.join(", ")}`);
  return value;
}

function setting(reason: string): MteRelayError {
  return new MteRelayError("setting", reason);
}
