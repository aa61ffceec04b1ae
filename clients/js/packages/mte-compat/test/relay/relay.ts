/** A relay and an upstream on free ports of the loopback address. */

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { answer } from "./upstream.js";

/** How long a relay may take to listen. */
const START_MS = 15_000;

function relayBinary(): string {
  const builds = ["release", "debug"].map((profile) =>
    fileURLToPath(new URL(`../../../../../../target/${profile}/mte-relay`, import.meta.url)),
  );
  const given = process.env.MTE_RELAY_BIN;
  const found = (given === undefined ? builds : [given]).find((path) => existsSync(path));
  if (found === undefined) {
    throw new Error(`no relay at ${given ?? builds.join(" or ")}: run \`make build\`, or set MTE_RELAY_BIN`);
  }
  return found;
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((done) => server.close(done));
  return port;
}

export class Relay {
  readonly origin: string;
  readonly #process: ChildProcess;
  readonly #upstream: Server;
  readonly #directory: string;
  #log = "";

  private constructor(origin: string, child: ChildProcess, upstream: Server, directory: string) {
    this.origin = origin;
    this.#process = child;
    this.#upstream = upstream;
    this.#directory = directory;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (text) => {
        this.#log += text;
      });
    }
  }

  static async start(): Promise<Relay> {
    const upstream = createServer(answer);
    // Longer than the relay keeps an idle connection: otherwise it may reuse one that Node is just closing.
    upstream.keepAliveTimeout = 120_000;
    const upstreamPort = await listen(upstream);
    const port = await freePort();
    const directory = mkdtempSync(join(tmpdir(), "mte-compat-"));
    const config = join(directory, "relay.yaml");
    writeFileSync(
      config,
      [
        "listeners:",
        `  - address: 127.0.0.1:${port}`,
        "log: {level: info, format: json}",
        "domain_map:",
        '  "*":',
        `    upstream: http://127.0.0.1:${upstreamPort}`,
        `    client_id_secret: ${randomBytes(32).toString("hex")}`,
      ].join("\n"),
    );
    const child = spawn(relayBinary(), ["run", "--config", config], { stdio: ["ignore", "pipe", "pipe"] });
    const relay = new Relay(`http://127.0.0.1:${port}`, child, upstream, directory);
    try {
      await relay.#ready();
    } catch (error) {
      await relay.stop();
      throw error;
    }
    return relay;
  }

  /** What the relay has logged. */
  get log(): string {
    return this.#log;
  }

  async stop(): Promise<void> {
    const exited = new Promise((done) => this.#process.once("exit", done));
    if (this.#process.exitCode === null && this.#process.kill("SIGKILL")) await exited;
    this.#upstream.closeAllConnections();
    await new Promise((done) => this.#upstream.close(done));
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #ready(): Promise<void> {
    const end = Date.now() + START_MS;
    while (Date.now() < end && this.#process.exitCode === null) {
      const ok = await fetch(`${this.origin}/api/mte-echo`).then(
        (response) => response.ok,
        () => false,
      );
      if (ok) return;
      await new Promise((done) => setTimeout(done, 50));
    }
    throw new Error(`the relay does not listen\n${this.#log}`);
  }
}
