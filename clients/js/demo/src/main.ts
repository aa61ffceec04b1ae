/** The page of `mte-demo`: what the user sends, and what happens to it. */

import { choices } from "./choices.js";
import { byId, h } from "./dom.js";
import { type Exchange, Exchanges } from "./exchange.js";
import { listen } from "./news.js";
import { eventsPanel } from "./panels/events.js";
import { requestPanel } from "./panels/request.js";
import { downloadPanel, uploadPanel } from "./panels/transfer.js";
import { Runner } from "./run.js";
import { exchangeView, verdict } from "./view/exchange.js";

const status = byId("status");
let shown: Exchange | undefined;
let due = false;

const exchanges = new Exchanges((exchange) => {
  // The newest one is shown as soon as it starts.
  const starts = exchange === exchanges.all.at(-1) && exchange.request === undefined && !exchange.over;
  if (starts && shown !== exchange) {
    shown = exchange;
    bringIntoView();
  }
  draw();
});

/** Draws once before the next frame, however much has changed. */
function draw(): void {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    if (shown) replace(byId("exchange"), exchangeView(shown));
    drawHistory();
  });
}

/** On a small screen the views are below the form: scrolls there, unless the user is typing. */
function bringIntoView(): void {
  if (document.activeElement?.matches("textarea, input[type=text]")) return;
  if (matchMedia("(max-width: 860px)").matches) byId("exchange").scrollIntoView({ behavior: "smooth" });
}

/** Replaces the contents; open details stay open. */
function replace(place: HTMLElement, nodes: Node[]): void {
  const key = (details: HTMLDetailsElement) => details.closest("article")?.className;
  const open = new Set([...place.querySelectorAll<HTMLDetailsElement>("details[open]")].map(key));
  place.replaceChildren(...nodes);
  for (const details of place.querySelectorAll("details")) details.open = open.has(key(details));
}

function drawHistory(): void {
  const place = byId("history");
  place.hidden = exchanges.all.length < 2;
  const entries = exchanges.all.toReversed().map((exchange) => {
    const show = () => {
      shown = exchange;
      draw();
    };
    const text = `${exchange.method} ${exchange.title}`;
    return h(
      "button",
      { type: "button", class: verdict(exchange), click: show, "aria-current": exchange === shown && "true" },
      text,
    );
  });
  place.replaceChildren(h("h2", {}, "Earlier"), ...entries);
}

function tabs(panels: [id: string, name: string, content: Node[]][]): void {
  const buttons = panels.map(([id, name, content], index) => {
    const panel = h(
      "div",
      { role: "tabpanel", id: `panel-${id}`, "aria-labelledby": `tab-${id}`, hidden: index > 0 },
      ...content,
    );
    byId("panels").append(panel);
    const select = () => {
      for (const other of buttons) {
        const chosen = other.button === button;
        other.button.setAttribute("aria-selected", String(chosen));
        other.button.tabIndex = chosen ? 0 : -1;
        other.panel.hidden = !chosen;
      }
    };
    const keys = (event: Event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[(event as KeyboardEvent).key];
      if (step === undefined) return;
      const next = buttons[(index + step + buttons.length) % buttons.length]!.button;
      next.click();
      next.focus();
    };
    const selected = { "aria-selected": String(index === 0), tabindex: index === 0 ? "0" : "-1" };
    const button = h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${id}`,
        "aria-controls": `panel-${id}`,
        click: select,
        keydown: keys,
        ...selected,
      },
      name,
    );
    return { button, panel };
  });
  byId("tabs").append(...buttons.map(({ button }) => button));
}

function showStatus(text: string, bad = false): void {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

async function start(): Promise<void> {
  const { relay, version } = await (await fetch("/setup")).json();
  byId("tap").textContent = `listens at ${new URL(relay).host}`;
  let idleStatus = `Version ${version}`;
  const runner = new Runner(relay, exchanges, choices(), (line) => {
    idleStatus = line;
    showStatus(idleStatus);
  });
  listen(
    (one) => exchanges.news(one),
    (is) => showStatus(is ? "Cannot reach the demo: is it still running?" : idleStatus, is),
  );
  tabs([
    ["request", "Request", requestPanel(runner)],
    ["upload", "Upload", uploadPanel(runner)],
    ["download", "Download", downloadPanel(runner)],
    ["events", "Events", eventsPanel(runner)],
  ]);
  byId("exchange").append(h("p", { class: "outcome" }, "Send something: the result appears here."));
  await runner.client.pair();
}

start().catch((error: unknown) => showStatus(String(error), true));
