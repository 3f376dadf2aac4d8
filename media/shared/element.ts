/** Makes elements. Text goes in as text, never as markup, and styles through the object model, which a strict policy allows. */

type Attributes = Readonly<Record<string, string | number | boolean | undefined | ((event: never) => void)>>;
type Child = Node | string | undefined;

/**
 * `onclick` and the like are listeners, `class` and `aria-*` attributes; true is an attribute without a value, false and undefined are none.
 */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly (Child | readonly Child[])[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(name.slice(2), value as (event: Event) => void);
    else if (value === true) made.setAttribute(name, '');
    else if (value !== false && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...children.flat().filter(child => child !== undefined));
  return made;
}

/** Sets text only where it differs, so that selections and screen readers are left alone. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Elements that carry listeners: another one of them takes the place of the old one as a whole. */
const INTERACTIVE = new Set(['BUTTON', 'INPUT', 'SELECT', 'TEXTAREA', 'A']);

/** Brings the children to what is given, and leaves alone what is there already: what is being pressed stays, and so does the focus. */
export function renew(parent: Element, children: readonly Node[]): void {
  for (const [i, child] of children.entries()) {
    const old = parent.childNodes[i];
    if (!old) parent.append(child);
    else if (isSameFrame(old, child)) renew(old, [...child.childNodes]);
    else if (!old.isEqualNode(child)) {
      const hadFocus = old === document.activeElement;
      old.replaceWith(child);
      if (hadFocus && child instanceof HTMLElement) child.focus();
    }
  }
  while (parent.childNodes.length > children.length) parent.lastChild?.remove();
}

/** Only what is inside differs, and nothing but that need change. */
const isSameFrame = (old: Node, next: Node): old is Element =>
  old instanceof Element &&
  !INTERACTIVE.has(old.tagName) &&
  !old.isEqualNode(next) &&
  old.cloneNode(false).isEqualNode(next.cloneNode(false));

/** Replaces all children. */
export function fill(parent: Element, ...children: readonly (Child | readonly Child[])[]): void {
  parent.replaceChildren(...children.flat().filter(child => child !== undefined));
}
