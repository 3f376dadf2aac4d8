/** The highest scores of a cell as a table. */
import { grouped } from '../../../trainer/protocol/text/format.ts';
import { element, fill, setText } from '../../shared/element.ts';
import type { CellNeurons } from './cell-content.ts';
import { scoreText } from './cell-facts.ts';

export interface TopList {
  readonly element: HTMLElement;
  update(neurons: Pick<CellNeurons, 'a' | 'b' | 'isSelected' | 'mark' | 'one'>): void;
}

/** Maximum number of rows shown; the exported table has all of them. */
const TOP_ROWS = 100;

export function createTopList(): TopList {
  const body = element('tbody');
  const head = element('tr');
  const table = element('table', {}, element('thead', {}, head), body);
  let shown: Pick<CellNeurons, 'a' | 'b' | 'mark' | 'one'> | undefined;
  let marks: { readonly row: number; readonly line: HTMLElement; readonly mark: HTMLElement }[] = [];

  function list({ a, b, mark: word, one }: Pick<CellNeurons, 'a' | 'b' | 'mark' | 'one'>): void {
    fill(head, ...['rank', one, 'score', ...(b ? ['rank B', 'score B'] : []), word].map(text => element('th', { scope: 'col' }, text)));
    marks = [...a.order.subarray(0, TOP_ROWS)].map((row, place) => {
      const beside = b ? [grouped((b.ranks[row] ?? 0) + 1), scoreText(b.scores[row])] : [];
      const texts = [grouped(place + 1), grouped(row), scoreText(a.scores[row]), ...beside];
      const mark = element('td');
      return { row, mark, line: element('tr', {}, ...texts.map(text => element('td', {}, text)), mark) };
    });
    fill(body, ...marks.map(({ line }) => line));
  }

  return {
    element: element('div', { class: 'top-list', tabindex: '0', role: 'region', 'aria-label': 'Highest scores' }, table),
    update({ a, b, isSelected, mark: word, one }) {
      const next = { a, b, mark: word, one };
      if (shown?.a !== a || shown.b !== b || shown.mark !== word || shown.one !== one) list(next);
      shown = next;
      for (const { row, line, mark } of marks) {
        line.classList.toggle('trained', isSelected[row] === 1);
        setText(mark, isSelected[row] ? '✓' : '');
      }
    },
  };
}
