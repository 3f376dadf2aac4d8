/** The highest scores of a cell as a table. */
import { grouped } from '../../../trainer/protocol/text/format.ts';
import { element, fill, setText } from '../../shared/element.ts';
import type { CellScores } from '../score-store.ts';
import { scoreText } from './cell-facts.ts';

export interface TopList {
  readonly element: HTMLElement;
  /**
   * @param isSelected [rows] 1 for marked rows
   * @param mark the word for marked rows
   */
  update(a: CellScores, b: CellScores | undefined, isSelected: Uint8Array, mark: string): void;
}

/** The exported table has more. */
const TOP_ROWS = 100;

export function createTopList(): TopList {
  const body = element('tbody');
  const head = element('tr');
  const table = element('table', {}, element('thead', {}, head), body);
  let shown: { readonly a: CellScores; readonly b: CellScores | undefined; readonly mark: string } | undefined;
  let marks: { readonly row: number; readonly line: HTMLElement; readonly mark: HTMLElement }[] = [];

  function list(a: CellScores, b: CellScores | undefined, word: string): void {
    fill(
      head,
      ...['rank', 'neuron', 'score', ...(b ? ['rank B', 'score B'] : []), word].map(text => element('th', { scope: 'col' }, text)),
    );
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
    update(a, b, isSelected, word) {
      if (shown?.a !== a || shown.b !== b || shown.mark !== word) list(a, b, word);
      shown = { a, b, mark: word };
      for (const { row, line, mark } of marks) {
        line.classList.toggle('trained', isSelected[row] === 1);
        setText(mark, isSelected[row] ? '✓' : '');
      }
    },
  };
}
