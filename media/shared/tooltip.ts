/** A box next to the pointer that describes the item under it. */
import { element, fill } from './element.ts';
import type { TooltipContent } from './tooltip-content.ts';

export interface Tooltip {
  /** @param at position in the window, in pixels */
  show(content: TooltipContent, at: { readonly x: number; readonly y: number }): void;
  hide(): void;
}

/** Distance between the pointer and the box, in pixels. */
const DISTANCE = 14;

/** Creates a tooltip for pointers; keyboard and screen reader users get the live region instead. */
export function createTooltip(parent: HTMLElement): Tooltip {
  const box = parent.appendChild(element('div', { class: 'tooltip', 'aria-hidden': 'true', hidden: true }));
  return {
    show({ title, subtitle, facts }, { x, y }) {
      fill(
        box,
        element('strong', {}, title),
        subtitle === undefined ? undefined : element('div', { class: 'subtitle' }, subtitle),
        element('dl', {}, ...facts.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)])),
      );
      box.hidden = false;
      const { width, height } = box.getBoundingClientRect();
      const left = x + DISTANCE + width > innerWidth ? x - DISTANCE - width : x + DISTANCE;
      const top = y + DISTANCE + height > innerHeight ? y - DISTANCE - height : y + DISTANCE;
      box.style.transform = `translate(${Math.max(0, left)}px, ${Math.max(0, top)}px)`;
    },
    hide: () => {
      box.hidden = true;
    },
  };
}
