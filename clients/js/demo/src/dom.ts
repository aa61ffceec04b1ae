/** Creating elements. Text is always text: received data is never parsed as markup. */

type Child = Node | string | undefined | false;
type Props = Record<string, string | boolean | ((event: Event) => void) | undefined>;

/** An element. Function properties are event listeners, `true` sets an empty attribute, `undefined` and false none. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) if (child !== undefined && child !== false) element.append(child);
  return element;
}

/** The element with this id in index.html. */
export function byId(id: string): HTMLElement {
  return document.getElementById(id)!;
}
