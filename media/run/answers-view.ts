/** Answers to held-out prompts, one row per sample: those of the original model next to those of an evaluation. */
import { counted, grouped } from '../../trainer/protocol/text/format.ts';
import { element, fill, setText } from '../shared/element.ts';
import { createTurnButtons } from '../shared/table/turn-buttons.ts';
import { type AnswerRow, answerRows } from './answers.ts';
import type { View } from './view.ts';

/** Number of rows per page. */
const PAGE = 20;

export function createAnswersView(): View {
  let update = (): void => undefined;
  /** The step of the chosen evaluation; undefined follows the newest one. */
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
  const buttons = createTurnButtons(['Previous', 'Next'], by => {
    first = Math.max(0, first + by * PAGE);
    update();
  });
  const body = element('tbody', {});
  const heads = element('tr', {});
  const table = element('table', { class: 'data', 'aria-label': 'Answers' }, element('thead', {}, heads), body);
  const filter = element(
    'label',
    { class: 'tool', title: 'Answers that fail a check, or whose reward is lower than before' },
    imperfect,
    'Only imperfect',
  );
  const tools = element('div', { class: 'panel-tools' }, steps, filter, buttons.elements, where);
  const scrolled = element('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Answers, sample by sample' }, table);
  const root = element('details', { hidden: true }, summary, tools, scrolled);

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
          all.map(one => element('option', { value: `${one}` }, nameOf(one))),
        );
        steps.value = `${step}`;
        setText(summary, `Answers to ${counted(found.length, 'held-out prompt')}`);
        setText(where, rangeText(first, shown.length, rows.length));
        const columns = columnsOf(step).filter(({ isShown = () => true }) => isShown(found));
        fill(
          heads,
          columns.map(({ label }) => element('th', { scope: 'col' }, label)),
        );
        buttons.update({ earlier: first > 0, later: first + PAGE < rows.length });
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
  /** True if the cell holds text of the data or the model, shown verbatim. */
  readonly isAnswer?: true;
  readonly isShown?: (rows: readonly AnswerRow[]) => boolean;
}

const nameOf = (step: number): string => (step === 0 ? 'Original model' : `Step ${grouped(step)}`);

const rangeText = (first: number, shown: number, all: number): string =>
  all === 0 ? 'no prompts' : `prompts ${grouped(first + 1)} to ${grouped(first + shown)} of ${grouped(all)}`;

/** The columns for the evaluation after `step` updates; the first one is the row header. */
const columnsOf = (step: number): readonly Column[] => [
  { label: 'Prompt', textOf: ({ prompt }) => prompt, isAnswer: true },
  { label: 'Expected', textOf: ({ reference }) => reference, isAnswer: true },
  { label: nameOf(0), textOf: ({ before }) => before ?? '–', isAnswer: true, isShown: rows => step > 0 && rows.some(hasBefore) },
  { label: nameOf(step), textOf: ({ after }) => after, isAnswer: true },
  { label: 'Checks', textOf: ({ scores }) => scores, isShown: rows => rows.some(({ scores }) => scores !== '') },
  { label: 'Reward', textOf: ({ reward }) => reward, isShown: rows => rows.some(({ reward }) => reward !== '') },
];

const hasBefore = ({ before }: AnswerRow): boolean => before !== undefined;

const rowElement = (row: AnswerRow, columns: readonly Column[]): HTMLElement =>
  element(
    'tr',
    {},
    columns.map(({ textOf, isAnswer }, i) =>
      element(
        i === 0 ? 'th' : 'td',
        { ...(i === 0 && { scope: 'row' }), ...(isAnswer && { class: 'answer' }) },
        isAnswer && textOf(row) === '' ? element('span', { class: 'hint' }, '(empty)') : textOf(row),
      ),
    ),
  );
