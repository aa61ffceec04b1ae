/** A web worker that fetches the requested URLs through the relay. */

import { createRelayClient } from "../../src/index.js";

globalThis.onmessage = async ({ data }: MessageEvent<{ relay: string; path: string }>) => {
  const response = await createRelayClient({ url: data.relay, numberOfPairs: 1 }).fetch(data.path);
  postMessage(await response.text());
};
