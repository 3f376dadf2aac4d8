/** Results on held-out data, before and after; for tasks with labels, the confusion matrix. */
import { counted, grouped, percent } from '../../trainer/protocol/text/format.ts';
import type { ForgettingView } from '../../trainer/protocol/view/run.ts';
import { element, fill } from '../shared/element.ts';
import { createAnswersView } from './answers-view.ts';
import {
  forgettingRows,
  type LabelRow,
  labelRows,
  labelSentence,
  noResultsText,
  type ResultRow,
  type Results,
  resultsOf,
} from './results.ts';
import type { View } from './view.ts';

/** Maximum number of labels that have a column in the confusion matrix. */
const MAX_COLUMNS = 20;

export function createResultsView(): View {
  const root = element('div', {});
  const answers = createAnswersView();
  let shown = '';
  return {
    element: element('div', { class: 'results' }, root, answers.element),
    update: model => {
      answers.update(model);
      const results = resultsOf(model);
      const forgetting = model.summary?.forgetting;
      const without = noResultsText(model);
      const now = JSON.stringify([results, forgetting, without]);
      if (now === shown) return;
      shown = now;
      const general = forgetting ? [generalText(forgetting)] : [];
      if (results) fill(root, measures(results), ...labels(results), ...general);
      else if (forgetting) fill(root, ...general);
      else fill(root, element('p', { class: 'hint' }, without));
    },
  };
}

function measures({ rows, step, isFinal, samples }: Results): HTMLElement {
  const after = step === undefined ? 'After' : isFinal ? `After ${counted(step, 'step')}` : `Now, at step ${grouped(step)}`;
  return comparison(`Held-out data${samples === undefined ? '' : `, ${grouped(samples)} samples`}`, ['Before', after], rows);
}

const generalText = (forgetting: ForgettingView): HTMLElement =>
  comparison(`General text, ${counted(forgetting.targets, 'token')}: what was forgotten`, ['Base', 'Tuned'], forgettingRows(forgetting));

const comparison = (caption: string, columns: readonly [string, string], rows: readonly ResultRow[]): HTMLElement =>
  element(
    'table',
    { class: 'data' },
    element('caption', {}, caption),
    head(['Metric', ...columns, 'Change']),
    element('tbody', {}, rows.map(measure)),
  );

function measure({ label, before, after, change, isBetter }: ResultRow): HTMLElement {
  const look = isBetter === undefined ? '' : isBetter ? 'better' : 'worse';
  return element(
    'tr',
    {},
    element('th', { scope: 'row' }, label),
    number(before),
    element('td', { class: 'number' }, element('strong', {}, after)),
    element('td', { class: `number ${look}`, title: look === '' ? undefined : look }, change),
  );
}

function labels({ labels: found, samples = 0 }: Results): HTMLElement[] {
  if (!found) return [];
  const rows = labelRows(found.after, found.before);
  return [
    element('p', {}, labelSentence(found.after, samples)),
    element('div', { class: 'result-tables' }, byLabel(rows), ...(rows.length <= MAX_COLUMNS ? [confusion(rows)] : [])),
  ];
}

function byLabel(rows: readonly LabelRow[]): HTMLElement {
  const share = (value: number | undefined): HTMLElement => number(value === undefined ? '–' : percent(value));
  return element(
    'table',
    { class: 'data' },
    element('caption', {}, 'By label'),
    head(['Label', 'Samples', 'Recall', 'Recall before', 'Precision']),
    element(
      'tbody',
      {},
      rows.map(({ label, samples, recall, recallBefore, precision }) =>
        element(
          'tr',
          {},
          element('th', { scope: 'row' }, label),
          number(grouped(samples)),
          share(recall),
          share(recallBefore),
          share(precision),
        ),
      ),
    ),
  );
}

/** Rows are actual labels, columns predicted ones. */
function confusion(rows: readonly LabelRow[]): HTMLElement {
  return element(
    'table',
    { class: 'confusion' },
    element('caption', {}, 'Confusion matrix (rows: actual, columns: predicted)'),
    element('thead', {}, element('tr', {}, element('td', {}), ...rows.map(({ label }) => element('th', { scope: 'col' }, label)))),
    element(
      'tbody',
      {},
      rows.map(({ label, answers, samples }, i) =>
        element('tr', {}, element('th', { scope: 'row' }, label), ...answers.map((count, j) => cell(count, samples, i === j))),
      ),
    ),
  );
}

/** A cell of the matrix. The color strength is its share of the row; correct and wrong cells have different colors. */
function cell(count: number, samples: number, isRight: boolean): HTMLElement {
  const made = element('td', { class: isRight ? 'right' : 'wrong' }, grouped(count));
  made.style.setProperty('--share', `${samples > 0 ? Math.round((35 * count) / samples) : 0}%`);
  return made;
}

const number = (text: string): HTMLElement => element('td', { class: 'number' }, text);

function head(texts: readonly string[]): HTMLElement {
  return element(
    'thead',
    {},
    element('tr', {}, ...texts.map((text, i) => element('th', { scope: 'col', class: i > 0 ? 'number' : '' }, text))),
  );
}
