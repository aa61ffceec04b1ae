/** Long bodies: up, and down. */

import { h } from "../dom.js";
import { now } from "../exchange.js";
import { rate, size } from "../format.js";
import type { Progress, Runner } from "../run.js";

const MIB = 1 << 20;
/** Bytes of one of the upstream's pages. */
const PAGE = 64 << 10;

/** A file, or one that is made up. */
export function uploadPanel(runner: Runner): Node[] {
  const file = h("input", { type: "file", id: "file" });
  const made = sizes("upload-size", [1, 16, 64]);
  return transfer(
    "Upload",
    "upload",
    [
      h("label", { class: "grow" }, "A file of yours (it goes no further than this machine)", file),
      h("label", {}, "or random bytes", made),
    ],
    (signal, progress) => {
      const chosen = file.files?.[0];
      const body = chosen ?? random(Number(made.value) * MIB);
      const title = chosen ? chosen.name : `${made.value} MiB`;
      return runner.send({ title, method: "PUT", target: "/ledgers/2031", body }, signal, progress);
    },
  );
}

/** What the upstream makes as it goes. */
export function downloadPanel(runner: Runner): Node[] {
  const wanted = sizes("download-size", [1, 16, 128]);
  return transfer(
    "Download",
    "download",
    [h("label", {}, "Made by the upstream as it is read", wanted)],
    (signal, progress) => {
      const pages = (Number(wanted.value) * MIB) / PAGE;
      const total = pages * PAGE;
      const task = { title: `${wanted.value} MiB`, method: "GET", target: `/ledgers/2030?pages=${pages}` };
      return runner.send(task, signal, undefined, (loaded) => progress(loaded, total));
    },
  );
}

function sizes(id: string, mebibytes: number[]) {
  const select = h("select", { id });
  select.append(...mebibytes.map((count) => h("option", { value: String(count) }, `${count} MiB`)));
  return select;
}

function transfer(
  verb: string,
  id: string,
  inputs: Node[],
  run: (signal: AbortSignal, progress: Progress) => Promise<void>,
): Node[] {
  const bar = h("progress", { max: "1", value: "0", "aria-label": `${verb}: how far it is` });
  const state = h(
    "p",
    { class: "hint" },
    "Each frame is sealed and opened while the next one is on its way.",
  );
  let abort: AbortController | undefined;
  const stop = h(
    "button",
    { class: "plain", type: "button", disabled: true, click: () => abort?.abort() },
    "Stop",
  );
  const go = h("button", { class: "go", type: "button", id }, verb);
  go.addEventListener("click", async () => {
    abort = new AbortController();
    go.disabled = true;
    stop.disabled = false;
    const began = now();
    bar.value = 0;
    await run(abort.signal, (loaded, total) => {
      bar.value = total ? loaded / total : 0;
      state.textContent =
        loaded > 0
          ? `${size(loaded)}${total ? ` of ${size(total)}` : ""}, ${rate(loaded, now() - began)}`
          : "Reading…";
    });
    go.disabled = false;
    stop.disabled = true;
  });
  return [h("div", { class: "row" }, ...inputs), h("div", { class: "row" }, go, stop), bar, state];
}

/** Bytes that do not compress. */
function random(length: number): Blob {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return new Blob([bytes]);
}
