/** An HTTP server behind the relay: it reports what it received, and answers in the forms that tests need. */

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What `/echo` reports about the request. */
export interface Echo {
  method: string;
  url: string;
  headers: Record<string, string>;
  length: number;
  sha256: string;
  /** For a short body. */
  text?: string;
}

export interface Upstream {
  port: number;
  /** Requests that arrived, in order. */
  seen: { method: string; url: string }[];
  close(): Promise<void>;
}

/** The byte at a place of `/bytes`. */
export function patternByte(at: number): number {
  return (at * 31 + (at >>> 8)) & 255;
}

const PIECE = 64 << 10;

/** Bytes from `start` on. */
export function pattern(length: number, start = 0): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = patternByte(start + at);
  return bytes;
}

/** Starts it. `files`: further JavaScript and pages to serve, by path. */
export async function startUpstream(files: Record<string, string> = {}): Promise<Upstream> {
  const seen: Upstream["seen"] = [];
  const server = createServer((request, response) => {
    seen.push({ method: request.method!, url: request.url! });
    response.on("error", () => {});
    // For pages that fetch without the relay; the relay replaces it with its own.
    response.setHeader("access-control-allow-origin", "*");
    const file = files[request.url!];
    if (file !== undefined) {
      const type = request.url!.endsWith(".js") ? "text/javascript" : "text/html";
      response.writeHead(200, { "content-type": `${type}; charset=utf-8` }).end(file);
      return;
    }
    answer(request, response).catch(() => response.destroy());
  });
  const port = await listen(server);
  return { port, seen, close: () => close(server) };
}

export async function listen(server: Server, port = 0): Promise<number> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

export async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url!, "http://upstream");
  const number = (name: string, otherwise = 0) => Number(url.searchParams.get(name) ?? otherwise);
  switch (url.pathname) {
    case "/echo":
      return echo(request, response);
    case "/bytes": {
      const length = number("n");
      const known = url.searchParams.get("known") !== "0";
      response.writeHead(200, {
        "content-type": "application/x-pattern",
        ...(known ? { "content-length": length } : {}),
      });
      return bytes(response, length);
    }
    case "/cut": {
      response.writeHead(200, { "content-type": "text/plain" });
      response.write("the beginning");
      await pause(50);
      return void response.destroy();
    }
    case "/status": {
      const status = number("code", 200);
      const body = status === 204 || status === 304 ? undefined : `status ${status}`;
      response.writeHead(status, { "content-type": "text/plain", "x-status": String(status) });
      return void response.end(body);
    }
    case "/redirect": {
      response.writeHead(number("code", 302), { location: url.searchParams.get("to") ?? "/echo" });
      return void response.end();
    }
    case "/empty":
      return void response.writeHead(200, { "content-type": "text/plain", "content-length": 0 }).end();
    case "/slow":
      await pause(number("ms"));
      return void response.writeHead(200, { "content-type": "text/plain" }).end("slow");
    case "/cookies":
      response.setHeader("set-cookie", ["a=1; Path=/", "b=2; Path=/; HttpOnly"]);
      return void response.end(request.headers.cookie ?? "none");
    case "/headers": {
      const wanted = JSON.parse(url.searchParams.get("h") ?? "{}") as Record<string, string>;
      response.writeHead(200, { "content-type": "text/plain", ...wanted });
      return void response.end("headers");
    }
    case "/sse":
      return events(request, response, number("n", 3), number("ms", 20), url.searchParams.has("end"));
    case "/drip": {
      response.writeHead(200, { "content-type": "text/plain" });
      for (let n = 0; n < number("n", 5) && !response.destroyed; n++) {
        response.write(`piece ${n}\n`);
        await pause(number("ms", 50));
      }
      return void response.end();
    }
    default:
      return void response.writeHead(404, { "content-type": "text/plain" }).end("no such thing");
  }
}

async function echo(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hash = createHash("sha256");
  let length = 0;
  let text = "";
  for await (const piece of request as AsyncIterable<Buffer>) {
    hash.update(piece);
    length += piece.length;
    if (length < 4096) text += piece.toString("utf8");
  }
  const body: Echo = {
    method: request.method!,
    url: request.url!,
    headers: request.headers as Record<string, string>,
    length,
    sha256: hash.digest("hex"),
    ...(length < 4096 ? { text } : {}),
  };
  response.writeHead(200, { "content-type": "application/json", "x-echo": "yes" });
  response.end(request.method === "HEAD" ? undefined : JSON.stringify(body));
}

async function bytes(response: ServerResponse, length: number): Promise<void> {
  // The pattern repeats after 64 KiB.
  const piece = Buffer.from(pattern(PIECE));
  for (let at = 0; at < length && !response.destroyed; at += PIECE) {
    const part = at + PIECE <= length ? piece : piece.subarray(0, length - at);
    if (!response.write(part)) await drained(response);
  }
  response.end();
}

/** Waits until more can be written, or the client is gone. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}

async function events(
  request: IncomingMessage,
  response: ServerResponse,
  count: number,
  ms: number,
  end: boolean,
): Promise<void> {
  const last = Number(request.headers["last-event-id"] ?? "0");
  if (end && last >= count) return void response.writeHead(204).end();
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write("retry: 50\n\n");
  for (let id = last + 1; id <= last + count && !response.destroyed; id++) {
    response.write(
      `id: ${id}\nevent: ${id % 2 ? "odd" : "message"}\ndata: {"n":${id},\ndata: "at":${Date.now()}}\n\n`,
    );
    await pause(ms);
  }
  response.end();
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
