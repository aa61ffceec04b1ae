/** Building the Response that the caller gets. */

/** Statuses whose responses have no body. */
const BODILESS = [101, 103, 204, 205, 304];
/** The methods that read a body to its end. */
const CONSUMERS = ["arrayBuffer", "blob", "bytes", "formData", "json", "text"] as const;

/** The properties of a Response that its constructor does not take. */
export interface ResponseFacts {
  /** The URL in plaintext. */
  url: string;
  redirected: boolean;
  type: ResponseType;
  /** The error that the body failed with, if it did. */
  failure?: () => unknown;
}

/** Whether responses of this status have no body. */
export function isBodiless(status: number): boolean {
  return BODILESS.includes(status);
}

/** A Response as fetch would return it, with a plaintext body and headers. */
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
  // Some browsers lose the stream's error and report "Failed to fetch" instead of the signal's reason.
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
