/** A service worker that sends a page's requests to the relay sealed: `/sw.js?relay=<origin>`. */

import { createRelayClient } from "../../src/index.js";

interface FetchEvent extends Event {
  request: Request;
  respondWith(response: Promise<Response>): void;
  waitUntil(promise: Promise<unknown>): void;
}
interface ServiceWorker extends EventTarget {
  location: Location;
  skipWaiting(): Promise<void>;
  clients: { claim(): Promise<void> };
}

const worker = globalThis as unknown as ServiceWorker;
const relay = createRelayClient({
  url: new URL(worker.location.href).searchParams.get("relay")!,
  numberOfPairs: 2,
});

worker.addEventListener("install", (event) => (event as FetchEvent).waitUntil(worker.skipWaiting()));
worker.addEventListener("activate", (event) => (event as FetchEvent).waitUntil(worker.clients.claim()));
worker.addEventListener("fetch", (event) => {
  const { request, respondWith } = event as FetchEvent;
  if (new URL(request.url).origin === relay.url) respondWith.call(event, relay.fetch(request));
});
