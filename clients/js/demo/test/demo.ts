/** The demo itself, as a process on free ports, and a Chromium that has its page open. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { ARGUMENTS, chromiumBinary } from "../../packages/client/test/support/browser.js";
import { builtBinary } from "../../packages/client/test/support/relay-process.js";

/** The demo, which keeps running. */
export interface DemoProcess {
  /** The URL of its page. */
  url: string;
  stop(): Promise<void>;
}

export interface Demo extends DemoProcess {
  /** The page, once it has paired. */
  open(options?: BrowserContextOptions): Promise<Page>;
}

export async function startDemoProcess(): Promise<DemoProcess> {
  const child = spawn(builtBinary("mte-demo", "MTE_DEMO_BIN"), ["--stay"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const stop = async () => {
    if (child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    await exited;
  };
  try {
    return { url: await pageUrl(child), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export async function startDemo(): Promise<Demo> {
  const { url, stop } = await startDemoProcess();
  let browser: Browser;
  try {
    browser = await chromium.launch({ executablePath: chromiumBinary(), headless: true, args: ARGUMENTS });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    async open(options = {}) {
      const context = await browser.newContext(options);
      const page = await context.newPage();
      page.on("pageerror", (error) => console.error("page:", error));
      await page.goto(url);
      await page.getByText("Paired:").waitFor();
      return page;
    },
    async stop() {
      await browser.close();
      await stop();
    },
  };
}

/** The demo runs its scenes first, and then prints the page's URL. */
async function pageUrl(child: ChildProcess): Promise<string> {
  let output = "";
  for await (const piece of child.stdout!) {
    output += piece;
    const found = /In a browser[\s\S]*?(http:\/\/127\.0\.0\.1:\d+\/)\n/.exec(output);
    if (found) {
      // The demo would block if its output were not read.
      child.stdout!.resume();
      return found[1]!;
    }
  }
  throw new Error(`the demo exited:\n${output}`);
}
