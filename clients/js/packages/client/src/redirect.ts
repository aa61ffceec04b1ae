/** What fetch does with a redirect (Fetch standard, "HTTP-redirect fetch"), within one relay. */

import { MteRelayError } from "./errors.js";
import { isRepeatable } from "./request/body.js";
import type { Outgoing } from "./request/input.js";

/** The limit that browsers use. */
export const MAX_REDIRECTS = 20;

const STATUSES = [301, 302, 303, 307, 308];
const BODY_HEADERS = ["content-encoding", "content-language", "content-location", "content-type"];

/** The request that a response redirects to; undefined if the caller gets this response. */
export function redirectOf(response: Response, outgoing: Outgoing): Outgoing | undefined {
  const location = response.headers.get("location");
  if (location === null || location === "" || !STATUSES.includes(response.status)) return undefined;
  if (outgoing.redirect === "manual") return undefined;
  if (outgoing.redirect === "error") {
    throw new MteRelayError("redirect", 'the response is a redirect, and the request says redirect: "error"');
  }
  let url: URL;
  try {
    url = new URL(location, outgoing.url);
  } catch (cause) {
    throw new MteRelayError("redirect", "the response redirects to something that is not a URL", { cause });
  }
  if (url.origin !== outgoing.url.origin) {
    const hint = 'to follow it in the clear, request with redirect: "manual" and fetch its location yourself';
    throw new MteRelayError(
      "redirect",
      `the response redirects away from the relay, to ${url.origin}; ${hint}`,
    );
  }
  if (url.hash === "") url.hash = outgoing.url.hash;
  return becomesGet(response.status, outgoing.method) ? asGet(outgoing, url) : again(outgoing, url);
}

function becomesGet(status: number, method: string): boolean {
  if (status === 303) return method !== "GET" && method !== "HEAD";
  return (status === 301 || status === 302) && method === "POST";
}

function asGet(outgoing: Outgoing, url: URL): Outgoing {
  const headers = new Headers(outgoing.headers);
  for (const name of BODY_HEADERS) headers.delete(name);
  return { ...outgoing, url, headers, method: "GET", body: undefined };
}

function again(outgoing: Outgoing, url: URL): Outgoing {
  if (!isRepeatable(outgoing.body)) {
    throw new MteRelayError(
      "redirect",
      "the response redirects, but the body is a stream and cannot be sent again",
    );
  }
  return { ...outgoing, url };
}
