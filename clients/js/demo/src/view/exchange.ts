/** An exchange as a whole: its outcome, and its six views. */

import { h } from "../dom.js";
import type { Exchange } from "../exchange.js";
import { after } from "../format.js";
import * as cells from "./cells.js";

/** The outcome as a class name. */
export function verdict({ over, error, stopped }: Exchange): "" | "good" | "bad" {
  if (!over || stopped) return "";
  return error === undefined ? "good" : "bad";
}

const BY: Record<string, string> = {
  "spoil-request": "One bit was flipped on the way. The relay forwarded none of it, and does not say why.",
  "spoil-response":
    "One bit was flipped on the way back. The frame did not verify, so none of it was passed to the page.",
  "forge-status": "The status line was forged. The sealed headers contain the real status.",
  "cut-response":
    "The response was truncated and ended as HTTP ends it: to a browser it looked complete. It had no final frame.",
};

function headline(exchange: Exchange): [string, string] {
  const { over, error, stopped, order, request, status, readAt, began } = exchange;
  if (!over) return [exchange.status === undefined ? "On its way…" : "Streaming…", ""];
  if (stopped) return ["Stopped by this page", "What was sent until then stays sealed."];
  if (error !== undefined) return ["Refused", `${error}. ${BY[order] ?? ""}`];
  const took = readAt === undefined ? "" : ` in ${after(readAt - began).slice(1)}`;
  const replayed = request?.replayed;
  if (replayed) {
    const text = `Delivered once${took}`;
    return [
      text,
      `The same bytes, sent a second time, were refused with ${replayed.status}: each message is accepted only once.`,
    ];
  }
  return [`Delivered: ${status}${took}`, ""];
}

/** The outcome and the six views. */
export function exchangeView(exchange: Exchange): Node[] {
  const [title, text] = headline(exchange);
  const outcome = h(
    "div",
    { class: `outcome ${verdict(exchange)}`, role: "status", "data-request": exchange.id },
    h("b", {}, title),
    h("span", { class: "facts" }, `${exchange.method} ${exchange.title}`),
    text !== "" && h("p", {}, text),
  );
  const heads = [
    ["page", "This page"],
    ["wire", "On the wire"],
    ["upstream", "Upstream"],
  ].map(([hue, name]) => h("h2", { class: hue! }, name!));
  const views = [cells.sent, cells.travelled, cells.arrived, cells.answered, cells.travelledBack, cells.read];
  return [outcome, h("div", { class: "cells" }, ...heads, ...views.map((view) => view(exchange)))];
}
