/** The six views of an exchange: sent, on the wire, received; answered, on the wire back, read. */

import type { Part } from "@mte-relay/client";
import { h } from "../dom.js";
import type { Exchange, StreamedEvent } from "../exchange.js";
import { after, cut, size } from "../format.js";
import { fromBase64, fromHex } from "../message.js";
import type { Body, Fields, WireMessage } from "../news.js";
import { hexPart, legend } from "./hex.js";

type Content = (Node | undefined | false)[];

function cell(
  kind: string,
  hue: string,
  title: string,
  facts: (string | undefined | false)[],
  content: Content,
) {
  const shown = facts.filter((fact) => fact !== undefined && fact !== false && fact !== "").join(" · ");
  const header = h("header", {}, h("h3", {}, title), h("span", { class: "facts" }, shown));
  return h("article", { class: `cell ${kind} ${hue}` }, header, ...content);
}

function empty(text: string) {
  return h("p", { class: "empty" }, text);
}

function line(text: string, strong: string) {
  return h("pre", { class: "line" }, h("b", {}, strong), ` ${text}`);
}

function fields(list: Fields) {
  return (
    list.length > 0 &&
    h(
      "dl",
      { class: "fields" },
      ...list.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, cut(value, 160))]),
    )
  );
}

function text(body: Body) {
  if (body.length === 0) return undefined;
  const more = body.length > body.text.length && body.text.length > 700 ? "…" : "";
  return h("pre", { class: "body" }, printable(body.text).slice(0, 800) + more);
}

/** Control characters are shown as dots. */
function printable(bytes: string): string {
  return bytes.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufffd]/g, "·");
}

function same(one: Body, other: Body, who: string) {
  if (one.sha256 === "" || other.sha256 === "" || other.length === 0) return undefined;
  return one.sha256 === other.sha256
    ? h("p", { class: "same" }, `✓ the same bytes ${who}: SHA-256 ${one.sha256.slice(0, 12)}…`)
    : h("p", { class: "differs" }, `✗ not the same bytes ${who}`);
}

export function sent(exchange: Exchange) {
  const { method, target, headers, sent: body } = exchange;
  return cell(
    "sent",
    "page",
    "sent",
    [body.length > 0 && size(body.length)],
    [line(target, method), fields(headers), text(body)],
  );
}

/** The headers in the clear on the wire. */
function clearFields(message: WireMessage): Fields {
  return message.headers.filter(([name]) => name !== "x-mte-relay-eh");
}

function plainOf(parts: readonly (Part | undefined)[], kind: Part["kind"], wire: number): string {
  const plain = parts.find((part) => part?.kind === kind)?.plainLength;
  return plain === undefined ? size(wire) : `${size(plain)} → ${size(wire)}`;
}

const TAMPERED: Record<string, string> = {
  "spoil-request": "flipped one bit of it",
  replay: "forwarded it, and sent the same bytes a second time",
  "spoil-response": "flipped one bit of it",
  "forge-status": "replaced the status line",
  "cut-response": "dropped the second half, and ended it as if it were complete",
  withhold: "withheld it",
};

function tampered(message: WireMessage) {
  if (message.tampered === null) return undefined;
  const again = message.replayed;
  const answer = again ? ` The relay's answer: ${again.status} ${errorText(again.text)}.` : "";
  return h("p", { class: "note" }, `The eavesdropper ${TAMPERED[message.tampered]}.${answer}`);
}

function errorText(json: string): string {
  try {
    return String(JSON.parse(json).error);
  } catch {
    return "";
  }
}

function wireFacts(exchange: Exchange, message: WireMessage): string[] {
  const total = message.head + message.length;
  return [size(total), after(message.last - exchange.began)];
}

function allFields(message: WireMessage) {
  const list = clearFields(message);
  const shown = fields(list);
  return shown && h("details", {}, h("summary", {}, `${list.length} headers in the clear`), shown);
}

export function travelled(exchange: Exchange) {
  const { request: message, parts } = exchange;
  if (message === undefined)
    return cell("travelled", "wire", "request on the wire", [], [empty("nothing yet")]);
  const [method = "", path = ""] = message.start.split(" ");
  const content: Content = [line(cut(path, 60), method)];
  const url = fromBase64(decodeURIComponent(path.slice(1)));
  if (url && parts.some(({ kind }) => kind === "url"))
    content.push(hexPart("URL", plainOf(parts, "url", url.length), url, url.length));
  content.push(...headerPart(message, parts));
  if (message.length > 0) content.push(bodyPart(message, plainOf(parts, "body", message.length)));
  content.push(legend(), allFields(message), tampered(message));
  return cell("travelled", "wire", "request on the wire", wireFacts(exchange, message), content);
}

function headerPart(message: WireMessage, parts: readonly (Part | undefined)[]) {
  const value = message.headers.find(([name]) => name === "x-mte-relay-eh")?.[1];
  const bytes = value === undefined ? undefined : fromBase64(value);
  return bytes ? [hexPart("headers", plainOf(parts, "headers", bytes.length), bytes, bytes.length)] : [];
}

function bodyPart(message: WireMessage, sizes: string) {
  return hexPart("body", sizes, fromHex(message.hex), message.length, message.changed ?? undefined);
}

export function arrived(exchange: Exchange) {
  const { received, over, request } = exchange;
  if (received === undefined) {
    const refused = over && request !== undefined;
    const content = refused ? h("p", { class: "never" }, "Nothing arrived here.") : empty("nothing yet");
    return cell("arrived", "upstream", "received", [], [content]);
  }
  const names = new Set(exchange.headers.map(([name]) => name));
  const own = received.headers.filter(([name]) => names.has(name) && !UNASKED.has(name));
  const others = received.headers.filter(([name]) => !names.has(name) && !name.startsWith("x-demo-"));
  return cell(
    "arrived",
    "upstream",
    "received",
    [received.body.length > 0 && size(received.body.length), after(received.at - exchange.began)],
    [
      line(received.target, received.method),
      fields(own),
      text(received.body),
      same(received.body, exchange.sent, "as the page sent"),
      request?.replayed ? h("p", { class: "same" }, "✓ it arrived once, not twice") : undefined,
      others.length > 0 &&
        h("details", {}, h("summary", {}, `${others.length} more headers`), fields(others) || ""),
    ],
  );
}

const UNASKED = new Set(["accept-encoding"]);

export function answered(exchange: Exchange) {
  const { answering, answered: done, events, began, over, request } = exchange;
  if (answering === undefined) {
    const unasked = over && request !== undefined && exchange.received === undefined;
    return cell(
      "answered",
      "upstream",
      "answered",
      [],
      [empty(unasked ? "It never got the request." : "nothing yet")],
    );
  }
  const body = done?.body;
  const at = done?.at ?? Math.max(answering.at, ...events.map((event) => event.at ?? 0));
  const list = events.length > 0 && eventList(exchange, "sent");
  return cell(
    "answered",
    "upstream",
    "answered",
    [body && size(body.length), after(at - began)],
    [line(answering.type, String(answering.status)), list, body && !list && text(body)],
  );
}

/** Events of a stream, the newest first: when they were sent, or how long they took to be read. */
function eventList(exchange: Exchange, what: "sent" | "read") {
  const there = exchange.events.filter((event) => (what === "sent" ? event.at : event.read) !== undefined);
  const shown = there.sort((one, other) => other.number - one.number).slice(0, 8);
  const took = ({ at, read }: StreamedEvent) => {
    if (what === "sent") return after(at! - exchange.began);
    return at === undefined ? "" : `${Math.max(0, read! - at).toFixed(1)} ms later`;
  };
  return h(
    "dl",
    { class: "fields body" },
    ...shown.flatMap((event) => [h("dt", {}, took(event)), h("dd", {}, event.text)]),
  );
}

export function travelledBack(exchange: Exchange) {
  const { response: message, responsePart } = exchange;
  if (message === undefined)
    return cell("travelled-back", "wire", "response on the wire", [], [empty("nothing yet")]);
  const [, status = "", ...reason] = message.start.split(" ");
  const content: Content = [line(reason.join(" "), status)];
  const sealed = headerPart(message, [responsePart]);
  content.push(...sealed);
  if (message.length > 0) {
    const plain = exchange.read.length;
    const sizes =
      exchange.over && !exchange.error ? `${size(plain)} → ${size(message.length)}` : size(message.length);
    const inClear =
      sealed.length === 0 && h("pre", { class: "body" }, new TextDecoder().decode(fromHex(message.hex)));
    content.push(inClear || bodyPart(message, sizes));
  }
  content.push(allFields(message), tampered(message));
  return cell("travelled-back", "wire", "response on the wire", wireFacts(exchange, message), content);
}

export function read(exchange: Exchange) {
  const { status, type, read: body, readAt, began, error, stopped } = exchange;
  if (status === undefined) {
    const content = error
      ? h("p", { class: "never" }, stopped ? "Stopped." : "No response that can be trusted.")
      : empty("nothing yet");
    return cell("read", "page", "read", [], [content]);
  }
  const list = exchange.events.some((event) => event.read !== undefined) && eventList(exchange, "read");
  return cell(
    "read",
    "page",
    "read",
    [body.length > 0 && size(body.length), readAt === undefined ? undefined : after(readAt - began)],
    [
      line(type, String(status)),
      list || text(body),
      exchange.answered && !error ? same(body, exchange.answered.body, "as the upstream sent") : undefined,
      error && !stopped
        ? h(
            "p",
            { class: "note" },
            body.length > 0
              ? "The rest was refused: a partial body is never accepted as complete."
              : "Refused: none of its body was passed to the page.",
          )
        : undefined,
    ],
  );
}
