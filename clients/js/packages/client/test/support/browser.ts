/** A headless Chromium, and a server for the page that the tests run in. */

import { existsSync, readFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Browser, chromium, type Page } from "playwright-core";
import type { Certificate } from "./certificate.js";
import { close, listen } from "./upstream.js";

/** How Chromium is started: quiet, and also as root. */
export const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Pages on these hosts are not secure contexts.
  "--host-resolver-rules=MAP *.test 127.0.0.1",
];

/** A page that loads the page's side of a test. */
export const PAGE =
  '<!doctype html><meta charset="utf-8"><title>test</title><script type="module" src="/page.js"></script>';

/** Chromium's binary. */
export function chromiumBinary(): string {
  const given = process.env.CHROMIUM_BIN;
  if (given) return given;
  const usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const binary = usual.find((path) => existsSync(path));
  if (binary === undefined) throw new Error("no Chromium: install it, or set CHROMIUM_BIN");
  return binary;
}

export interface BrowserSession {
  browser: Browser;
  /** The origin of the page, not the relay's. It uses `https:` if there is a certificate. */
  origin: string;
  /** An origin of the same page that is not a secure context. */
  insecureOrigin: string;
  /** A page with `globalThis.mte`, the exports of support/page.ts. `url`: the page's URL, by default the server's. */
  open(url?: string): Promise<Page>;
  stop(): Promise<void>;
}

/** Starts Chromium and the page's server. `files`: further files of the server, by path. */
export async function startBrowser(
  files: Record<string, string> = {},
  certificate?: Certificate,
): Promise<BrowserSession> {
  const executablePath = chromiumBinary();
  const script = await bundle(new URL("./page.ts", import.meta.url));
  const served: Record<string, string> = { "/page.js": script, ...files };
  const serve: RequestListener = (request, response) => {
    const file = served[(request.url ?? "").replace(/\?.*/, "")];
    const type = file === undefined ? "text/html" : "text/javascript";
    response.writeHead(200, { "content-type": `${type}; charset=utf-8`, "cache-control": "no-store" });
    response.end(file ?? PAGE);
  };
  const plain = createServer(serve);
  const port = await listen(plain);
  const tls = certificate && createTlsServer(tlsFiles(certificate), serve);
  const origin = tls ? `https://localhost:${await listen(tls)}` : `http://127.0.0.1:${port}`;
  const args = certificate ? [...ARGUMENTS, certificate.chromiumArgument] : ARGUMENTS;
  const browser = await chromium.launch({ executablePath, headless: true, args });
  return {
    browser,
    origin,
    insecureOrigin: `http://insecure.test:${port}`,
    async open(url = origin) {
      const context = await browser.newContext();
      const opened = await context.newPage();
      opened.on("pageerror", (error) => console.error("page:", error));
      await opened.goto(url);
      await opened.waitForFunction(() => "mte" in globalThis);
      return opened;
    },
    async stop() {
      await browser.close();
      await close(plain);
      if (tls) await close(tls);
    },
  };
}

function tlsFiles({ certificateFile, keyFile }: Certificate) {
  return { cert: readFileSync(certificateFile), key: readFileSync(keyFile) };
}

/** The page's side of a test: a module under support/, as text. */
export async function bundle(entry: URL): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    format: "esm",
    target: "es2022",
    write: false,
    logLevel: "silent",
  });
  return outputFiles[0]!.text;
}
