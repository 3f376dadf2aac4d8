/** Answers to held-out prompts, sample by sample: those of the original model next to those of an evaluation. */
import { grouped } from '../../trainer/protocol/format.ts';
import { element, fill, setText } from '../shared/element.ts';
import { type AnswerRow, answerRows } from './answers.ts';
import type { View } from './view.ts';

/** Rows on a page. */
const PAGE = 20;

export function createAnswersView(): View {
  let update = (): void => undefined;
  /** The chosen evaluation; undefined follows the newest. */
  let chosen: number | undefined;
  let first = 0;
  let drawn = '';
  const changed = (): void => {
    first = 0;
    update();
  };
  const steps = element('select', { 'aria-label': 'Evaluation', onchange: () => choose() });
  const imperfect = element('input', { type: 'checkbox', onchange: changed });
  const summary = element('summary', {});
  const where = element('span', { class: 'hint', 'aria-live': 'polite' });
  const turn = (by: number) => () => {
    first = Math.max(0, first + by);
    update();
  };
  const earlier = element('button', { type: 'button', class: 'secondary', onclick: turn(-PAGE) }, 'Previous');
  const later = element('button', { type: 'button', class: 'secondary', onclick: turn(PAGE) }, 'Next');
  const body = element('tbody', {});
  const heads = element('tr', {});
  const table = element('table', { class: 'data', 'aria-label': 'Answers' }, element('thead', {}, heads), body);
  const tools = [steps, element('label', {}, imperfect, ' Only imperfect'), earlier, later, where];
  const root = element('details', { hidden: true }, summary, element('div', { class: 'panel-tools' }, tools), table);

  function choose(): void {
    const newest = steps.options[steps.options.length - 1]?.value;
    chosen = steps.value === newest ? undefined : Number(steps.value);
    changed();
  }

  return {
    element: root,
    update: model => {
      update = () => {
        const { steps: all } = model.answers;
        root.hidden = all.length === 0;
        const step = all.find(one => one === chosen) ?? all.at(-1) ?? 0;
        const found = answerRows(model.answers, step);
        const rows = imperfect.checked ? found.filter(({ isPerfect }) => !isPerfect) : found;
        if (first >= rows.length) first = 0;
        const shown = rows.slice(first, first + PAGE);
        const now = JSON.stringify([all, step, first, rows.length, shown]);
        if (now === drawn) return;
        drawn = now;
        fill(
          steps,
          all.map(one => element('option', { value: `${one}` }, one === 0 ? 'original model' : `step ${grouped(one)}`)),
        );
        steps.value = `${step}`;
        setText(summary, `Answers to ${grouped(found.length)} held-out prompts`);
        setText(where, rows.length === 0 ? 'none' : `${grouped(first + 1)} to ${grouped(first + shown.length)} of ${grouped(rows.length)}`);
        const columns = COLUMNS.filter(({ isShown = () => true }) => isShown(found));
        fill(
          heads,
          columns.map(({ label }) => element('th', { scope: 'col' }, label)),
        );
        earlier.disabled = first === 0;
        later.disabled = first + PAGE >= rows.length;
        fill(
          body,
          shown.map(row => rowElement(row, columns)),
        );
      };
      update();
    },
  };
}

interface Column {
  readonly label: string;
  readonly textOf: (row: AnswerRow) => string;
  /** It holds what was written, as it was written. */
  readonly isAnswer?: true;
  readonly isShown?: (rows: readonly AnswerRow[]) => boolean;
}

/** The first names the row. */
const COLUMNS: readonly Column[] = [
  { label: 'Prompt', textOf: ({ prompt }) => prompt, isAnswer: true },
  { label: 'Expected', textOf: ({ reference }) => reference, isAnswer: true },
  { label: 'Before', textOf: ({ before }) => before ?? '–', isAnswer: true },
  { label: 'Now', textOf: ({ after }) => after, isAnswer: true },
  { label: 'Checks', textOf: ({ scores }) => scores, isShown: rows => rows.some(({ scores }) => scores !== '') },
  { label: 'Reward', textOf: ({ reward }) => reward, isShown: rows => rows.some(({ reward }) => reward !== '') },
];

const rowElement = (row: AnswerRow, columns: readonly Column[]): HTMLElement =>
  element(
    'tr',
    {},
    columns.map(({ textOf, isAnswer }, i) =>
      element(i === 0 ? 'th' : 'td', { ...(i === 0 && { scope: 'row' }), ...(isAnswer && { class: 'answer' }) }, textOf(row)),
    ),
  );
