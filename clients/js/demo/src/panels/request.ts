/** A request, typed by hand. */

import { checkbox } from "../choices.js";
import { h } from "../dom.js";
import type { Runner } from "../run.js";

/** While the user types, a request is sent after this many milliseconds without input. */
const TYPING_PAUSE = 350;

export function requestPanel(runner: Runner): Node[] {
  const method = h("select", { id: "method" });
  method.append(...["POST", "GET", "PUT", "DELETE"].map((name) => h("option", {}, name)));
  const path = h("input", {
    type: "text",
    id: "path",
    value: "/transfers?from=DE89-3704",
    spellcheck: "false",
  });
  const token = h("input", {
    type: "text",
    id: "token",
    value: "Bearer eyJhbGciOi.secret",
    spellcheck: "false",
  });
  const body = h("textarea", { id: "body", spellcheck: "false" });
  body.value = '{"to":"Grace Hopper","amount":"7.00 EUR","for":"one moth"}';
  const live = checkbox("live", "send while I type", false);
  const go = h("button", { class: "go", type: "submit", id: "send" }, "Send");

  const send = () => {
    const name = method.value;
    const target = `/${path.value.replace(/^\/+/, "")}`;
    const hasBody = name !== "GET" && body.value !== "";
    void runner.send({
      title: target.split("?")[0]!,
      method: name,
      target,
      headers: {
        ...(token.value === "" ? {} : { authorization: token.value }),
        ...(hasBody ? { "content-type": "application/json" } : {}),
      },
      ...(hasBody ? { body: body.value } : {}),
    });
  };
  let timer = 0;
  const typed = () => {
    clearTimeout(timer);
    if (live.input.checked) timer = setTimeout(send, TYPING_PAUSE) as unknown as number;
  };
  for (const field of [path, token, body]) field.addEventListener("input", typed);
  const form = h(
    "form",
    {
      submit: (event) => {
        event.preventDefault();
        send();
      },
    },
    h(
      "div",
      { class: "row" },
      h("label", {}, "Method", method),
      h("label", { class: "grow" }, "Path and query", path),
    ),
    h("div", { class: "row" }, h("label", { class: "grow" }, "Authorization", token)),
    h("div", { class: "row" }, h("label", { class: "grow" }, "Body", body)),
    h("div", { class: "row" }, go, live.label),
  );
  return [form];
}
