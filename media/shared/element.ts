/**
 * Creates elements. Text is set as text, never as markup, and styles through the object model, as a strict content security policy
 * requires.
 */

type Attributes = Readonly<Record<string, string | number | boolean | undefined | ((event: never) => void)>>;
type Child = Node | string | undefined;

/**
 * Creates an element. Functions such as `onclick` become listeners; `class` and `aria-*` become attributes. True sets an attribute without
 * a value; false and undefined omit it.
 */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly (Child | readonly Child[])[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    // The attribute's name determines the event type, which `Attributes` cannot express.
    if (typeof value === 'function') made.addEventListener(name.slice(2), value as (event: Event) => void);
    else if (value === true) made.setAttribute(name, '');
    else if (value !== false && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...children.flat().filter(child => child !== undefined));
  return made;
}

/** Adds the main landmark of a page; its children take part in the layout of the body. */
export function addMain(): HTMLElement {
  const main = element('main', { class: 'page' });
  document.body.append(main);
  return main;
}

/** Sets the text only if it differs, so that selections and screen readers are not disturbed. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Elements with listeners, which are replaced as a whole. */
const INTERACTIVE = new Set(['BUTTON', 'INPUT', 'SELECT', 'TEXTAREA', 'A']);

/** Updates the children to the given list. Equal children stay, so that a pressed button and the focus are kept. */
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

/** True if only the content differs, so that the element itself can stay. */
const isSameFrame = (old: Node, next: Node): old is Element =>
  old instanceof Element &&
  !INTERACTIVE.has(old.tagName) &&
  !old.isEqualNode(next) &&
  old.cloneNode(false).isEqualNode(next.cloneNode(false));

/** Replaces all children. */
export function fill(parent: Element, ...children: readonly (Child | readonly Child[])[]): void {
  parent.replaceChildren(...children.flat().filter(child => child !== undefined));
}
