/** A table with a bar for each number; the bars add no information to the numbers. */
import { element } from '../element.ts';

export interface Bar {
  readonly name: string;
  /** The number as text. */
  readonly text: string;
  /** The length of the bar, from 0 to 1. */
  readonly share: number;
}

export const barTable = (caption: string, [first, second]: readonly [string, string], bars: readonly Bar[]): HTMLElement =>
  element(
    'table',
    { class: 'data bars' },
    element('caption', {}, caption),
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        element('th', { scope: 'col' }, first),
        element('th', { scope: 'col', class: 'number' }, second),
        element('td', {}),
      ),
    ),
    element(
      'tbody',
      {},
      bars.map(({ name, text, share }) =>
        element(
          'tr',
          {},
          element('th', { scope: 'row' }, name),
          element('td', { class: 'number' }, text),
          element('td', { class: 'drawn', 'aria-hidden': 'true' }, barElement(share)),
        ),
      ),
    ),
  );

function barElement(share: number): HTMLElement {
  const bar = element('div', { class: 'bar' });
  bar.style.width = `${100 * share}%`;
  return bar;
}
