/** The relay itself, as a process on a free port. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Certificate } from "./certificate.js";
import { close, listen, pause } from "./upstream.js";

const root = fileURLToPath(new URL("../../../../../../", import.meta.url));

/** The relay's binary. */
export function relayBinary(): string {
  return builtBinary("mte-relay", "MTE_RELAY_BIN");
}

/** A binary of this repository: the path in the environment `variable`, or cargo's build. */
export function builtBinary(name: string, variable: string): string {
  const given = process.env[variable];
  if (given) return given;
  const builds = [`${root}target/release/${name}`, `${root}target/debug/${name}`];
  const binary = builds.find((path) => existsSync(path));
  if (binary === undefined)
    throw new Error(`no ${name}: build it with \`cargo build --workspace\`, or set ${variable}`);
  return binary;
}

export interface RelayOptions {
  upstreamPort: number;
  corsOrigins?: string[];
  /** Listens with TLS. */
  certificate?: Certificate;
  /** Further settings of the tenant, as YAML lines. */
  tenant?: string[];
  /** Further settings of the relay, as YAML lines. */
  top?: string[];
}

export interface RelayProcess {
  url: string;
  port: number;
  log(): string;
  /** Ends the process and starts another on the same port, which knows no pairs. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startRelay(options: RelayOptions): Promise<RelayProcess> {
  const binary = relayBinary();
  const directory = mkdtempSync(join(tmpdir(), "mte-relay-test-"));
  const config = join(directory, "relay.yaml");
  const port = await freePort();
  writeFileSync(config, yaml(port, options));
  let log = "";
  let child: ChildProcess;
  const start = async () => {
    child = spawn(binary, ["run", "--config", config], { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on("data", (data) => {
        log = (log + data).slice(-(1 << 20));
      });
    }
    const answers = options.certificate ? answersTls : answersPlain;
    await ready(
      () => answers(port),
      () => (child.exitCode === null ? undefined : log),
    );
  };
  const end = async () => {
    if (child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  await start();
  return {
    url: options.certificate ? `https://localhost:${port}` : `http://127.0.0.1:${port}`,
    port,
    log: () => log,
    async restart() {
      await end();
      await start();
    },
    async stop() {
      await end();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function yaml(port: number, options: RelayOptions): string {
  const { upstreamPort, corsOrigins, certificate, tenant = [], top = [] } = options;
  const files = (of: Certificate) => `certificate_file: ${of.certificateFile}, key_file: ${of.keyFile}`;
  return [
    "listeners:",
    `  - address: 127.0.0.1:${port}`,
    ...(certificate ? ["    tls: true"] : []),
    "threads: 1",
    "log: {level: info, format: json}",
    ...top,
    "domain_map:",
    '  "*":',
    `    upstream: http://127.0.0.1:${upstreamPort}`,
    "    client_id_secret: a-secret-of-a-test-with-more-than-32-characters",
    ...(corsOrigins ? [`    cors_origins: ${JSON.stringify(corsOrigins)}`] : []),
    ...(certificate ? [`    tls: {${files(certificate)}}`] : []),
    ...tenant.map((line) => `    ${line}`),
    "",
  ].join("\n");
}

async function ready(answers: () => Promise<boolean>, failed: () => string | undefined): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const log = failed();
    if (log !== undefined) throw new Error(`the relay exited: ${log}`);
    if (await answers().catch(() => false)) return;
    await pause(50);
  }
  throw new Error("the relay does not answer");
}

async function answersPlain(port: number): Promise<boolean> {
  return (await fetch(`http://127.0.0.1:${port}/api/mte-echo`)).ok;
}

function answersTls(port: number): Promise<boolean> {
  const target = { host: "127.0.0.1", servername: "localhost", port, path: "/api/mte-echo" };
  return new Promise((resolve, reject) => {
    // The browser checks the certificate.
    const request = get({ ...target, rejectUnauthorized: false, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("error", reject);
  });
}

export async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await close(server);
  return port;
}
