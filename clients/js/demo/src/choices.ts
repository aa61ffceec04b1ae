/** The user's choices: how requests are sealed, and what the eavesdropper does to them. */

import type { MteOptions } from "@mte-relay/client";
import { byId, h } from "./dom.js";

const ORDERS: [name: string, text: string][] = [
  ["none", "only listens"],
  ["spoil-request", "flips a bit of the request"],
  ["replay", "sends the request twice"],
  ["spoil-response", "flips a bit of the response"],
  ["cut-response", "truncates the response"],
  ["forge-status", "forges the status"],
];

export interface Choices {
  /** What the eavesdropper does; `none` for nothing. */
  order(): string;
  /** How to seal. */
  options(): MteOptions;
}

/** Draws the choices. */
export function choices(): Choices {
  const type = h("select", { id: "encode-type" });
  type.append(
    h("option", { value: "MKE" }, "MKE: for anything, streamed"),
    h("option", { value: "MTE" }, "MTE: for short secrets, lengths in steps of 64"),
  );
  const url = checkbox("seal-url", "seal path and query");
  byId("sealing").append(h("label", {}, "Encode type", type), url.label);

  const radios = ORDERS.map(([name, text], index) => {
    const input = h("input", { type: "radio", name: "order", value: name, checked: index === 0 });
    return { input, label: h("label", {}, input, text) };
  });
  const group = h("div", { class: "choices", role: "radiogroup", "aria-label": "The eavesdropper" });
  group.append(...radios.map(({ label }) => label));
  byId("tampering").append(group);

  const order = () => radios.find(({ input }) => input.checked)?.input.value ?? "none";
  return {
    order,
    options: () => ({
      encodeType: type.value === "MTE" ? "MTE" : "MKE",
      encodeUrl: url.input.checked,
      // A request that is sealed and sent again would get through, and there would be nothing to see.
      resend: order() === "none" ? "always" : "never",
    }),
  };
}

/** A checkbox, checked by default. */
export function checkbox(id: string, text: string, checked = true) {
  const input = h("input", { type: "checkbox", id, checked });
  return { input, label: h("label", { class: "checkbox" }, input, text) };
}
