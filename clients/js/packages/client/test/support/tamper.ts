/** An attacker in the middle: an HTTP proxy in front of the relay that changes messages as the test says. */

import { createServer, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { request as httpsRequest } from "node:https";
import { close, listen } from "./upstream.js";

/** A message as it passes. */
export interface Passing {
  /** Of a request. */
  method: string;
  path: string;
  /** Of a response. */
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface TamperProxy {
  url: string;
  /** Changes requests of the encrypted proxy; `"drop"` closes the connection instead. */
  request: ((passing: Passing) => unknown) | undefined;
  /** Changes their responses; `"cut"` closes the connection after half of the body. */
  response: ((passing: Passing) => unknown) | undefined;
  /** The requests that passed, unchanged. */
  seen: Passing[];
  stop(): Promise<void>;
}

/** Starts it; `tls`: the relay listens with TLS, which ends here, as it does at a content delivery network. */
export async function startTamperProxy(relayPort: number, tls = false): Promise<TamperProxy> {
  const proxy: TamperProxy = {
    url: "",
    request: undefined,
    response: undefined,
    seen: [],
    stop: () => close(server),
  };
  const server = createServer(async (incoming, outgoing) => {
    outgoing.on("error", () => {});
    const passing = await gather(incoming, { method: incoming.method!, path: incoming.url! });
    const control = passing.path.startsWith("/api/mte-") || passing.method === "OPTIONS";
    if (!control) {
      proxy.seen.push({ ...passing, headers: { ...passing.headers }, body: Buffer.from(passing.body) });
      if (proxy.request?.(passing) === "drop") return void outgoing.destroy();
    }
    const headers = { ...passing.headers };
    delete headers["transfer-encoding"];
    if (passing.body.length > 0 || headers["content-length"]) {
      headers["content-length"] = String(passing.body.length);
    }
    const { method, path } = passing;
    const send = tls ? httpsRequest : httpRequest;
    const name = tls ? { servername: "localhost", rejectUnauthorized: false } : {};
    const onward = send(
      { host: "127.0.0.1", port: relayPort, method, path, headers, ...name },
      async (response) => {
        try {
          const answer = await gather(response, { status: response.statusCode! });
          const cut = !control && proxy.response?.(answer) === "cut";
          delete answer.headers["transfer-encoding"];
          delete answer.headers.connection;
          const bodiless = method === "HEAD" || answer.status === 204 || answer.status === 304;
          if (!bodiless) answer.headers["content-length"] = String(answer.body.length);
          outgoing.writeHead(answer.status, answer.headers as Record<string, string>);
          if (cut) {
            outgoing.write(answer.body.subarray(0, answer.body.length / 2));
            setTimeout(() => outgoing.destroy(), 20);
          } else outgoing.end(answer.body);
        } catch {
          outgoing.destroy();
        }
      },
    );
    onward.on("error", () => outgoing.destroy());
    onward.end(passing.body);
  });
  proxy.url = `http://127.0.0.1:${await listen(server)}`;
  return proxy;
}

async function gather(
  message: AsyncIterable<Buffer> & { headers: IncomingHttpHeaders },
  facts: Partial<Passing>,
): Promise<Passing> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece);
  return {
    method: "",
    path: "",
    status: 0,
    headers: { ...message.headers },
    body: Buffer.concat(pieces),
    ...facts,
  };
}
