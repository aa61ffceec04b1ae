/** The relay itself with an upstream, for one test file. */

import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe } from "vitest";
import { createRelayClient, type RelayClient } from "../../src/index.js";
import { type RelayOptions, type RelayProcess, startRelay } from "./relay-process.js";
import { type Echo, startUpstream, type Upstream } from "./upstream.js";

/** What the tests share while they run. */
export interface Session {
  upstream: Upstream;
  relay: RelayProcess;
  client: RelayClient;
}

/** A `describe` block for tests that need the relay. */
export function describeWithRelay(
  name: string,
  options: Omit<RelayOptions, "upstreamPort">,
  tests: (session: Session) => void,
): void {
  describe(name, () => {
    const session = {} as Session;
    beforeAll(async () => {
      session.upstream = await startUpstream();
      session.relay = await startRelay({ upstreamPort: session.upstream.port, ...options });
      session.client = createRelayClient({ url: session.relay.url });
    });
    afterAll(async () => {
      await session.relay?.stop();
      await session.upstream?.close();
    });
    tests(session);
  });
}

export async function echo(response: Response): Promise<Echo> {
  return (await response.json()) as Echo;
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export async function bytesOf(response: Response): Promise<Uint8Array> {
  return new Uint8Array(await response.arrayBuffer());
}
