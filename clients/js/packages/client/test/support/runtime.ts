/** What any JavaScript runtime must be able to do with the client: run with the relay's URL as its argument. */

import { createRelayClient } from "../../src/index.js";
import { xWing } from "../../src/x-wing.js";

function check(name: string, got: unknown, expected: unknown): void {
  if (JSON.stringify(got) === JSON.stringify(expected)) return;
  throw new Error(`${name}: got ${JSON.stringify(got)}, expected ${JSON.stringify(expected)}`);
}

async function main(url: string): Promise<void> {
  const { fetch, pair } = createRelayClient({ url });
  await pair();
  const json = { "content-type": "application/json" };
  const posted = await (
    await fetch("/echo?a=1", { method: "POST", headers: json, body: '{"x":"é"}' })
  ).json();
  check("POST", [posted.method, posted.url, posted.text], ["POST", "/echo?a=1", '{"x":"é"}']);
  const mte = await (await fetch("/echo", { method: "PUT", body: "tokens" }, { encodeType: "MTE" })).json();
  check("MTE", mte.text, "tokens");
  const down = await (await fetch(`/bytes?n=${10 << 20}`)).arrayBuffer();
  check("10 MiB down", down.byteLength, 10 << 20);
  const up = await (await fetch("/echo", { method: "POST", body: down })).json();
  check("10 MiB up", up.length, 10 << 20);
  const stream = new Blob([new Uint8Array(200_000)]).stream();
  const streamed = await (
    await fetch("/echo", { method: "POST", body: stream, duplex: "half" } as RequestInit)
  ).json();
  check("a stream", streamed.length, 200_000);
  const form = new FormData();
  form.set("file", new Blob(["content"]), "a.txt");
  const sent = await (await fetch("/echo", { method: "POST", body: form })).json();
  check("a form", /name="file"; filename="a.txt"/.test(sent.text), true);
  const redirected = await fetch("/redirect?to=/echo%3Fb=2");
  check("a redirect", [redirected.redirected, (await redirected.json()).url], [true, "/echo?b=2"]);
  for (const [code, text] of [
    [204, ""],
    [404, "status 404"],
  ] as const) {
    const response = await fetch(`/status?code=${code}`);
    check(`status ${code}`, [response.status, await response.text()], [code, text]);
  }
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 50);
  const aborted = await fetch("/slow?ms=3000", { signal: abort.signal }).catch((error: Error) => error.name);
  check("an abort", aborted, "AbortError");
  const cut = await fetch("/cut")
    .then((response) => response.text())
    .catch((error: unknown) => error instanceof Error);
  check("a cut body", cut, true);
  const hybrid = createRelayClient({ url, kem: xWing, numberOfPairs: 1 });
  check("X-Wing", (await hybrid.fetch("/echo")).status, 200);
  console.log("all right");
}

const { process } = globalThis as unknown as { process: { argv: string[]; exit(code: number): never } };
main(process.argv[2]!).then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
