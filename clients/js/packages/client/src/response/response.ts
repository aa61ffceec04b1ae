/** Making the Response that a caller gets. */

/** Statuses whose responses have no body. */
const BODILESS = [101, 103, 204, 205, 304];
/** What reads a body to its end. */
const CONSUMERS = ["arrayBuffer", "blob", "bytes", "formData", "json", "text"] as const;

/** What a Response says besides what its constructor takes. */
export interface ResponseFacts {
  /** The URL in plaintext. */
  url: string;
  redirected: boolean;
  type: ResponseType;
  /** What made the body fail, once it did. */
  failure?: () => unknown;
}

/** Whether responses of this status have no body. */
export function isBodiless(status: number): boolean {
  return BODILESS.includes(status);
}

/** A Response as fetch would give it, of a body and headers in plaintext. */
export function makeResponse(
  body: ReadableStream<Uint8Array> | null,
  outer: Response,
  headers: Headers,
  facts: ResponseFacts,
): Response {
  const { status, statusText } = outer;
  return decorate(
    new Response(body as ReadableStream<Uint8Array<ArrayBuffer>> | null, { status, statusText, headers }),
    facts,
  );
}

function decorate(response: Response, facts: ResponseFacts): Response {
  const clone = response.clone.bind(response);
  Object.defineProperties(response, {
    url: { value: facts.url },
    redirected: { value: facts.redirected },
    type: { value: facts.type },
    clone: { value: () => decorate(clone(), facts) },
  });
  // Some browsers forget why a stream failed, and say "Failed to fetch" where the signal's reason is due.
  for (const name of CONSUMERS) {
    const consume = response[name]?.bind(response) as (() => Promise<unknown>) | undefined;
    if (consume === undefined) continue;
    const value = () =>
      consume().catch((error: unknown) => {
        throw facts.failure?.() ?? error;
      });
    Object.defineProperty(response, name, { value });
  }
  return response;
}
