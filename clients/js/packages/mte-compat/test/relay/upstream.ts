/** The upstream of the relay tests: it reports what arrived, or echoes it. */

import type { IncomingMessage, ServerResponse } from "node:http";

/** What arrived. */
export interface Arrived {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string;
}

export async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://upstream");
  if (url.pathname === "/same") {
    response.setHeader("content-type", "application/octet-stream");
    for await (const chunk of request) response.write(chunk);
    response.end();
    return;
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  if (url.pathname === "/nothing") {
    response.writeHead(204).end();
    return;
  }
  if (url.pathname === "/empty") {
    response.setHeader("content-type", "text/plain");
    response.end();
    return;
  }
  const arrived: Arrived = {
    method: request.method ?? "",
    url: request.url ?? "",
    headers: request.headers as Record<string, string>,
    body: Buffer.concat(chunks).toString("utf8"),
  };
  response.setHeader("content-type", "application/json; charset=utf-8");
  response.setHeader("x-echo", request.headers["x-echo"] ?? "");
  response.end(JSON.stringify(arrived));
}
