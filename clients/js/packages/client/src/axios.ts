/**
 * An adapter for axios: `axios.create({ adapter: relayAdapter(axios, relay.fetch) })`. From axios 1.12 on, its own
 * fetch adapter works as well: `axios.create({ adapter: "fetch", env: { fetch: relay.fetch } })`.
 *
 * @module @mte-relay/client/axios
 */

import type { MteOptions, Progress } from "./options.js";
import { mteFetch } from "./v4.js";

/** The parts of a request's config that the adapter uses. */
interface Config {
  method?: string | undefined;
  headers?: unknown;
  data?: unknown;
  responseType?: string | undefined;
  timeout?: number | undefined;
  timeoutErrorMessage?: string | undefined;
  withCredentials?: boolean | undefined;
  signal?: unknown;
  validateStatus?: ((status: number) => boolean) | null | undefined;
  onUploadProgress?: ((event: never) => void) | undefined;
  onDownloadProgress?: ((event: never) => void) | undefined;
}

/** The parts of axios that the adapter uses: pass the default export. */
export interface AxiosLike {
  getUri(config?: never): string;
  AxiosError: new (
    message?: string,
    code?: string,
    config?: never,
    request?: unknown,
    response?: never,
  ) => Error;
  CanceledError: new (message?: string, config?: never) => Error;
}

/** The signature of {@link mteFetch} and of a client's `fetch`. */
export type FetchThroughRelay = (
  input: string,
  init: RequestInit,
  mteOptions?: MteOptions,
) => Promise<Response>;

/**
 * Creates an adapter. `mteOptions` apply to every request.
 *
 * ```ts
 * const http = axios.create({ baseURL: "https://relay.example", adapter: relayAdapter(axios, relay.fetch) });
 * ```
 */
export function relayAdapter(
  axios: AxiosLike,
  fetch: FetchThroughRelay = mteFetch,
  mteOptions: MteOptions = {},
  // biome-ignore lint/suspicious/noExplicitAny: the types of axios differ between versions
): (config: any) => Promise<any> {
  return async (config: Config) => {
    const timeout = config.timeout ? AbortSignal.timeout(config.timeout) : undefined;
    const signals = [timeout, config.signal].filter((signal) => signal instanceof AbortSignal);
    const signal = AbortSignal.any(signals);
    const fail = (message: string, code: string, response?: unknown, cause?: unknown) => {
      const error = new axios.AxiosError(message, code, config as never, null, response as never);
      return cause === undefined ? error : Object.assign(error, { cause });
    };
    try {
      const response = await fetch(axios.getUri(config as never), requestInit(config, signal), {
        ...mteOptions,
        ...progressOptions(config),
      });
      const answer = {
        data: await readData(response, config.responseType),
        status: response.status,
        statusText: response.statusText,
        headers: Object.fromEntries(response.headers),
        config,
        request: null,
      };
      const valid = config.validateStatus?.(response.status) ?? true;
      if (valid) return answer;
      const code = response.status < 500 ? "ERR_BAD_REQUEST" : "ERR_BAD_RESPONSE";
      throw fail(`Request failed with status code ${response.status}`, code, answer);
    } catch (cause) {
      if (cause instanceof axios.AxiosError) throw cause;
      if (timeout?.aborted) {
        throw fail(config.timeoutErrorMessage ?? `timeout of ${config.timeout}ms exceeded`, "ECONNABORTED");
      }
      if (signal.aborted) throw new axios.CanceledError(undefined, config as never);
      throw fail(cause instanceof Error ? cause.message : String(cause), "ERR_NETWORK", undefined, cause);
    }
  };
}

function requestInit(config: Config, signal: AbortSignal): RequestInit {
  const method = (config.method ?? "get").toUpperCase();
  const headers = new Headers();
  for (const [name, value] of Object.entries({ ...(config.headers as Record<string, unknown>) })) {
    if (value !== null && value !== undefined && value !== false && typeof value !== "function") {
      headers.set(name, String(value));
    }
  }
  const { data } = config;
  // The platform chooses the boundary.
  if (data instanceof FormData) headers.delete("content-type");
  const hasBody = method !== "GET" && method !== "HEAD" && data !== undefined && data !== null;
  return {
    method,
    headers,
    signal,
    ...(hasBody ? { body: data as BodyInit } : {}),
    ...(config.withCredentials ? { credentials: "include" } : {}),
  };
}

function progressOptions({ onUploadProgress, onDownloadProgress }: Config): MteOptions {
  const event = (progress: Progress) => ({
    ...progress,
    bytes: progress.loaded,
    progress: progress.total ? progress.loaded / progress.total : undefined,
    lengthComputable: progress.total !== undefined,
  });
  return {
    ...(onUploadProgress
      ? { onUploadProgress: (progress) => onUploadProgress({ ...event(progress), upload: true } as never) }
      : {}),
    ...(onDownloadProgress
      ? {
          onDownloadProgress: (progress) =>
            onDownloadProgress({ ...event(progress), download: true } as never),
        }
      : {}),
  };
}

/** The body in the form that `responseType` asks for; axios itself parses JSON. */
function readData(response: Response, responseType: string | undefined): Promise<unknown> | unknown {
  switch (responseType) {
    case "arraybuffer":
      return response.arrayBuffer();
    case "blob":
      return response.blob();
    case "stream":
      return response.body;
    default:
      return response.text();
  }
}
