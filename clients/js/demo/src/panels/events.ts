/** Server-sent events, live. */

import { h } from "../dom.js";
import type { Runner } from "../run.js";

export function eventsPanel(runner: Runner): Node[] {
  const pause = h("select", { id: "pause" });
  pause.append(
    h("option", { value: "1000" }, "one a second"),
    h("option", { value: "200" }, "five a second"),
    h("option", { value: "3000" }, "one in three seconds"),
  );
  let abort: AbortController | undefined;
  const stop = h(
    "button",
    { class: "plain", type: "button", disabled: true, click: () => abort?.abort() },
    "Stop",
  );
  const go = h("button", { class: "go", type: "button", id: "listen" }, "Listen");
  go.addEventListener("click", async () => {
    abort = new AbortController();
    go.disabled = true;
    stop.disabled = false;
    const target = `/ticker?count=600&pause=${pause.value}`;
    await runner.events({ title: "/ticker", method: "GET", target }, abort.signal);
    go.disabled = false;
    stop.disabled = true;
  });
  const hint = h(
    "p",
    { class: "hint" },
    "Each event is a separate sealed frame, opened as soon as it arrives.",
  );
  return [
    h("div", { class: "row" }, h("label", {}, "Prices of plum cake", pause)),
    h("div", { class: "row" }, go, stop),
    hint,
  ];
}
