/** Settings: what a caller gives, checked and completed with defaults. */

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

/** How one request is sealed. What is not given is as the client's options say. */
export interface MteOptions {
  /** `"MKE"` for anything; `"MTE"` for short, highly sensitive data: it holds each body whole. Default `"MKE"`. */
  encodeType?: EncodeType;
  /** Whether path and query are sealed. Default true. */
  encodeUrl?: boolean;
  /** The same; if both are given, `encodeUrl` counts. */
  encodeUrls?: boolean;
  /**
   * Which request headers are sealed: all, or those named; `false` for as few as possible. Only headers that browsers
   * and proxies add themselves can stay in the clear (`cookie`, `origin`, `referer`, `user-agent`, `accept-language`,
   * `priority`, `sec-*`, those that trace a request or say who sent it): the relay takes no others from there, so they
   * are always sealed. Default true.
   */
  encodeHeaders?: boolean | readonly string[];
  /**
   * Which response headers come back sealed: `"*"` for all that browsers and proxies need not see, or names. Headers
   * that describe the body (`content-type`, `etag`, `cache-control` ...) and `location` always do. Of what is sealed, a
   * header in the clear never counts. Default `"*"`.
   */
  responseHeaders?: ResponseHeaders;
  /** A path in front of every path of the relay, in the clear, as a reverse proxy may want it: `"/relay"`. */
  pathPrefix?: string;
  /**
   * Which requests may be sent a second time after the relay asked for a new pairing: see {@link Resend}. Bodies that
   * are streams never are. Default `"idempotent"`: a POST rejects with the code `not-repeated` instead.
   */
  resend?: Resend;
  /**
   * How a ReadableStream is uploaded: `"stream"` as it comes (in browsers this takes HTTP/2), `"buffer"` gathered in a
   * Blob first. Default `"auto"`: as it comes wherever that is known to work.
   */
  uploads?: "auto" | "stream" | "buffer";
  /** Is told how much of the request's body was sent, in plaintext bytes. */
  onUploadProgress?: (progress: Progress) => void;
  /** Is told how much of the response's body was read, in plaintext bytes. */
  onDownloadProgress?: (progress: Progress) => void;
  /** Of clients of v4; without effect: bodies are streamed wherever they can be. */
  useStreaming?: boolean;
}

/** How far a body is. */
export interface Progress {
  loaded: number;
  /** Where it is known. */
  total?: number | undefined;
}

/** Settings of a client: of its requests, and of its pairs. */
export interface RelayClientOptions extends Omit<MteOptions, "onUploadProgress" | "onDownloadProgress"> {
  /** How many pairs are made at a time and used in turn, 1 to 100. Default 5. */
  numberOfPairs?: number;
  /**
   * The key encapsulation of pairings: `"ml-kem-512"`, `"ml-kem-768"`, `"ml-kem-1024"`, or `xWing` of
   * `@mte-relay/client/x-wing`. Default `"ml-kem-768"`.
   */
  kem?: MlKemName | Kem;
  /** The most plaintext bytes of a body of type MTE, sent or received; relays have a limit too. Default 1 MiB. */
  maxMteBody?: number;
  /** Milliseconds after which a pair is renewed. Default 20 hours; relays keep pairs for 24 unless set otherwise. */
  pairMaxAge?: number;
  /** Milliseconds without a request after which a pair is no longer used. Default 25 minutes; relays: 30. */
  pairIdle?: number;
  /** The same for a pair that never had a request. Default 8 minutes; relays: 10. */
  pairUnused?: number;
  /** Milliseconds that a pairing may take. Default 20 seconds. Requests have no limit: use an AbortSignal. */
  pairingTimeout?: number;
  /** The credentials mode of pairings; of requests it is as they say. Default `"same-origin"`. */
  credentials?: RequestCredentials;
  /** Goes on under a signed client id of earlier, instead of asking for a new one. */
  clientId?: string;
  /**
   * What to do with the relay's own errors other than 559 to 569, such as 404, 413, 429 or 502: `"throw"` a
   * {@link MteRelayError}, or give them as a `"response"`. They are in the clear: whoever is on the way could have
   * written them. Default `"throw"`.
   */
  relayErrors?: "throw" | "response";
  /** The fetch to send with. Default: the global one. */
  fetch?: typeof fetch;
  /** Is told what happens: see {@link debugLog}. */
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

/** Checks a request's options; what they do not say is as in `defaults`. */
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
      throw setting(`responseHeaders: ${JSON.stringify(name)} is no header name`);
    if (staysClear(name) || isHopByHop(name))
      throw setting(`responseHeaders: ${name} stays in the clear, since browsers or proxies act on it`);
  }
  // Browsers would follow a redirect whose target stands in the clear.
  return [...names.add("location")];
}

/** A path with a leading slash and none at its end, or nothing. */
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
