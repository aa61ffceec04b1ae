/** Sealed bytes in hexadecimal, coloured by meaning. */

import { h } from "../dom.js";
import { LEGEND, regions } from "../message.js";

/** The maximum number of bytes shown. */
const MAX_SHOWN = 112;

/** A sealed part: its name, its sizes, its bytes. `changed`: the index of the byte that was changed in transit. */
export function hexPart(name: string, sizes: string, bytes: Uint8Array, total: number, changed?: number) {
  const code = h("code", { class: "hex" });
  const shown = bytes.subarray(0, MAX_SHOWN);
  for (const { kind, from, to } of regions(shown)) {
    const end = Math.min(to, shown.length);
    const text = (first: number, last: number) =>
      Array.from(shown.subarray(first, last), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    if (changed !== undefined && changed >= from && changed < end) {
      if (changed > from) code.append(h("span", { class: kind }, `${text(from, changed)} `));
      code.append(
        h("span", { class: "changed", title: "changed in transit" }, text(changed, changed + 1)),
        " ",
      );
      code.append(h("span", { class: kind }, `${text(changed + 1, end)} `));
    } else {
      code.append(h("span", { class: kind }, `${text(from, end)} `));
    }
  }
  if (total > shown.length) code.append("…");
  const label = h("p", {}, h("b", {}, name), h("span", { class: "facts" }, sizes));
  return h("div", { class: "part" }, label, h("div", { class: "body" }, code));
}

/** What the colours mean. */
export function legend() {
  const entries = LEGEND.map(([kind, text]) => h("span", { class: kind }, text));
  return h("p", { class: "legend hex" }, ...entries);
}
