// A mock of a relay's admin listener: it serves the status page, with the relay's CSP, and an invented status.json. To
// work on the page alone:
//
//     node mock.mjs            prints an address for each scene
//     PORT=8080 node mock.mjs  on a port of your choice
//
// Every figure is a function of the time, so there is no state to keep: the plots move on from one response to the next.
// It listens on loopback only and has no part in the relay.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const CSP = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:";
const INTERVAL = 2, CAPACITY = 300;
const started = Math.floor(Date.now() / 1000) - 3 * 86400 - 4 * 3600;

const page = [process.env.STATUS_PAGE, "../../src/admin/status.html", "../status.html"]
  .filter(Boolean)
  .map(path => fileURLToPath(new URL(path, import.meta.url)))
  .find(existsSync);

/** Reproducible noise from 0 to 1. */
function noise(seed, step) {
  let h = Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(step, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  return ((h ^ (h >>> 13)) >>> 0) / 2 ** 32;
}

/** A load factor around 1 that rises and falls, with some noise. */
const loadFactor = (seed, t) => 1 + .3 * Math.sin(t / 97 + seed) + .15 * Math.sin(t / 23 + 2 * seed) + .25 * (noise(seed, t / INTERVAL) - .5);

const round = value => Math.round(value * 100) / 100;

/**
 * One tenant. `load`: requests per second; `errors` and `refused`: shares of them, errors as a function of time if they
 * vary; `medianMs`: milliseconds a request takes at the median.
 */
function tenant(at, seed, { name, load = 100, errors = 0, refused = .01, medianMs = 12, pairs = 200, upstream }) {
  const series = f => at.map(t => f(t, Math.round(t / INTERVAL)));
  const requests = t => load === 0 ? 0 : Math.max(0, load < 1 ? (noise(seed, t) < load ? .5 : 0) : load * loadFactor(seed, t));
  const share = t => typeof errors === "function" ? errors(t) : errors;
  const latency = f => series(t => requests(t) > 0 ? round(f(t)) : null);
  return {
    name, upstream,
    requests_per_second: series(t => round(requests(t))),
    errors_per_second: series(t => round(requests(t) * share(t))),
    refused_per_second: series(t => round(requests(t) * refused * 2 * noise(seed + 7, t))),
    p50_ms: latency(t => medianMs * (.8 + .2 * loadFactor(seed + 1, t))),
    p99_ms: latency(t => medianMs * (3 + loadFactor(seed + 2, t) + (noise(seed + 3, t) > .97 ? 6 : 0))),
    overhead_p99_ms: latency(t => .3 + .2 * noise(seed + 4, t)),
    received_bytes_per_second: series(t => Math.round(requests(t) * 1800 * (.8 + .4 * noise(seed + 5, t)))),
    sent_bytes_per_second: series(t => Math.round(requests(t) * 14000 * (.8 + .4 * noise(seed + 6, t)))),
    pairs: series(t => load === 0 ? 0 : Math.round(pairs * (.9 + .1 * Math.sin(t / 200 + seed)))),
    pairings_per_second: series(t => round(load / 60 * noise(seed + 8, t))),
  };
}

const healthy = (url, in_flight = 3) => ({ url, state: "healthy", in_flight, why: null });
const unhealthy = (url, why) => ({ url, state: "unhealthy", in_flight: 0, why });

const shop = { name: "shop.test", load: 140, pairs: 620, upstream: [healthy("https://10.0.0.1:8443", 4), healthy("https://10.0.0.2:8443", 2)] };
const broken = { name: "broken.test", load: .6, errors: 1, refused: 0, pairs: 12, medianMs: .4, upstream: [unhealthy("http://127.0.0.1:9", "connect refused")] };

function fortyTenants() {
  const names = ["api", "shop", "login", "media", "billing", "search", "mobile", "partner"];
  return Array.from({ length: 40 }, (_, i) => ({
    name: `${names[i % 8]}.tenant${String(i).padStart(2, "0")}.test`,
    load: i % 7 === 3 ? 0 : Math.round(900 / (i + 1)) + 2,
    medianMs: 4 + i % 9 * 7,
    pairs: 40 + 13 * i % 700,
    errors: i === 11 ? .04 : i === 23 ? t => (t % 240 < 60 ? .5 : 0) : 0,
    upstream: Array.from({ length: 1 + i % 4 }, (_, k) => {
      const url = `https://10.0.${i}.${k + 1}:8443`;
      if (i === 17) return unhealthy(url, "connect timed out after 2 s");
      if (i === 6 && k === 0) return { url, state: "ejected", in_flight: 1, why: "5 errors in a row, back in 25 s" };
      return i % 5 === 4 ? { url, state: "unchecked", in_flight: 0, why: null } : healthy(url, k);
    }),
  }));
}

const LONG = "a-customer-with-a-rather-long-name-in-the-central-european-region.production.checkout-and-payment-services";

/** Situations of a relay. `tenants`: what to draw; the rest overrides status.json. */
const SCENES = {
  "": { tenants: [shop, broken] },
  well: { tenants: [shop, { ...shop, name: "api.shop.test", load: 60 }], reload: { ok: true, error: null } },
  fresh: { samples: 1, tenants: [{ ...shop, load: 0 }] },
  idle: { tenants: [{ ...shop, load: 0 }, { ...broken, load: 0 }] },
  trouble: {
    tenants: [{ ...shop, errors: t => (t % 600 > 480 ? .3 : .002), medianMs: 80 }, broken,
      { name: "media.test", load: 30, upstream: [unhealthy("https://media-1.internal:8443", "TLS: certificate has expired"), healthy("https://media-2.internal:8443")] }],
    relay: { ready: false, not_ready_because: ["tenant broken.test: no healthy upstream", "pair store redis-1.internal:6379: connection refused"] },
    reload: { ok: false, error: "relay.yaml:47:5: domain_map.api.shop.test.upstream: is missing: give the URL of the service behind this host, such as https://10.0.0.1:8443\nrelay.yaml:61:9: min_kem: expected ml-kem-768 or x-wing, got ml-kem-512" },
  },
  draining: { tenants: [shop], relay: { ready: false, draining: true, not_ready_because: ["draining: the process is stopping"] } },
  many: { tenants: fortyTenants(), left_out: 12 },
  long: {
    tenants: [1, 2, 3].map(i => ({ ...shop, name: `${LONG}-${i}.${"x".repeat(60)}.example.test`, load: 10 ** (2 * i - 1),
      upstream: i === 2 ? [unhealthy(`https://${"upstream-".repeat(12)}.test:8443/${"path/".repeat(20)}`, "x509: ".repeat(40))] : shop.upstream })),
    reload: { ok: false, error: "domain_map." + "y".repeat(400) },
  },
  none: { tenants: [] },
};

function total(tenants, at) {
  const add = key => at.map((_, i) => round(tenants.reduce((sum, one) => sum + one[key][i], 0)));
  const worst = key => at.map((_, i) => tenants.reduce((top, one) => one[key][i] === null ? top : Math.max(top ?? 0, one[key][i]), null));
  return Object.fromEntries([
    ...["requests_per_second", "errors_per_second", "refused_per_second", "received_bytes_per_second",
      "sent_bytes_per_second", "pairs", "pairings_per_second"].map(key => [key, add(key)]),
    ...["p50_ms", "p99_ms", "overhead_p99_ms"].map(key => [key, worst(key)]),
  ]);
}

export function status(scene) {
  const now = Math.floor(Date.now() / 1000 / INTERVAL) * INTERVAL;
  const length = scene.samples ?? CAPACITY;
  const at = Array.from({ length }, (_, i) => now - (length - 1 - i) * INTERVAL);
  const tenants = scene.tenants.map((spec, i) => tenant(at, i, spec));
  const sum = total(tenants, at);
  const busy = sum.requests_per_second;
  return {
    relay: { version: "0.1.0", codec: "mte-open/1", started, uptime_seconds: Date.now() / 1000 - started, ready: true, draining: false, not_ready_because: [], ...scene.relay },
    interval_seconds: INTERVAL,
    reload: scene.reload ? { at: now - 192, succeeded: 3, failed: scene.reload.ok ? 0 : 1, ...scene.reload } : null,
    process: {
      cpu: busy.map((r, i) => round(.004 + r / 2500 + .02 * noise(90, at[i]))),
      memory_bytes: busy.map((r, i) => Math.round(11e6 + r * 9000 + 2e6 * noise(91, at[i] >> 4))),
      in_flight: busy.map((r, i) => Math.round(r * .02 * (1 + noise(92, at[i])))),
      connections: busy.map((r, i) => Math.round(Math.sqrt(r) * (3 + noise(93, at[i] >> 3)))),
    },
    samples: { at },
    total: sum,
    tenants,
    tenants_left_out: scene.left_out ?? 0,
  };
}

/** Starts the mock; resolves to its address, such as http://127.0.0.1:40123/, and a way to stop it. */
export async function startMock(port = 0) {
  const server = createServer(async (request, response) => {
    const [, name, file] = new URL(request.url, "http://mock").pathname.match(/^\/(?:([a-z]+)\/)?([a-z.]*)$/) ?? [];
    const scene = SCENES[name ?? ""];
    if (scene && file === "") {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": CSP, "cache-control": "no-store" });
      response.end(await readFile(page));
    } else if (scene && file === "status.json") {
      response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
      response.end(JSON.stringify(status(scene)));
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise(resolve => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    stop: () => new Promise(resolve => { server.close(resolve); server.closeAllConnections(); }),
  };
}

export const scenes = Object.keys(SCENES);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await startMock(Number(process.env.PORT ?? 0));
  for (const name of scenes) console.log(url + (name && name + "/"));
}
