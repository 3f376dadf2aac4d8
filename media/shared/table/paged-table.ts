/** A table of numbers that is shown in pages and follows its newest rows. */
import { grouped } from '../../../trainer/protocol/text/format.ts';
import { element, fill, setText } from '../element.ts';
import { type FirstRow, pageAt, turned } from './paging.ts';
import { createTurnButtons } from './turn-buttons.ts';

export interface PagedContent {
  /** A key that changes with the content of rows that are already shown. */
  readonly key: string;
  readonly length: number;
  readonly caption: string;
  readonly columns: readonly { readonly label: string; readonly title?: string }[];
  /** Returns the cells of a row; the first one is its header. */
  readonly row: (index: number) => readonly string[];
}

export interface PagedTable {
  /** The buttons and the range of visible rows. */
  readonly tools: readonly HTMLElement[];
  readonly element: HTMLElement;
  update(content: PagedContent): void;
  /** Follows the newest rows again. */
  reset(): void;
}

/** @param noun what the rows are, as in "lines 1 to 100 of 2,000" */
export function createPagedTable(label: string, noun: string, size: number): PagedTable {
  let content: PagedContent | undefined;
  let first: FirstRow;
  let drawn = '';
  const head = element('tr', {});
  const body = element('tbody', {});
  const caption = element('caption', { class: 'visually-hidden' });
  const where = element('span', { class: 'hint' });
  /** Announces the range when the user turns the page, rather than with every new row. */
  const announced = element('span', { class: 'visually-hidden', 'aria-live': 'polite' });
  const buttons = createTurnButtons(['Earlier', 'Later'], turn);

  function turn(by: -1 | 1): void {
    first = turned(first, content?.length ?? 0, size, by * size);
    draw();
    setText(announced, where.textContent ?? '');
  }

  function draw(): void {
    if (!content) return;
    const { key, length, columns, row } = content;
    const { from, to } = pageAt(first, length, size);
    const now = `${key} ${from} ${to}`;
    if (now === drawn) return;
    drawn = now;
    setText(caption, content.caption);
    fill(
      head,
      columns.map(({ label: text, title }) => element('th', { scope: 'col', class: 'number', title }, text)),
    );
    fill(
      body,
      Array.from({ length: to - from }, (_, i) => element('tr', {}, row(from + i).map(cell))),
    );
    setText(where, length === 0 ? 'no values yet' : `${noun} ${grouped(from + 1)} to ${grouped(to)} of ${grouped(length)}`);
    buttons.update({ earlier: from > 0, later: first !== undefined });
  }

  return {
    tools: [...buttons.elements, where, announced],
    element: element(
      'div',
      { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': label },
      element('table', { class: 'data' }, caption, element('thead', {}, head), body),
    ),
    update: next => {
      content = next;
      draw();
    },
    reset: () => {
      first = undefined;
    },
  };
}

const cell = (text: string, column: number): HTMLElement =>
  element(column === 0 ? 'th' : 'td', { class: 'number', scope: column === 0 ? 'row' : undefined }, text);
