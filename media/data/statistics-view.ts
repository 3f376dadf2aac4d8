/** Facts about all samples: lengths and padding as charts with numbers, labels, and samples worth a look. */
import { counted, grouped, percent } from '../../trainer/protocol/text/format.ts';
import {
  type DataStatistics,
  drawnText,
  type Finding,
  type PartStatistics,
  type SamplePlace,
  tokensText,
} from '../../trainer/protocol/view/data.ts';
import { element, fill } from '../shared/element.ts';
import { type Bar, barTable } from '../shared/table/bar-table.ts';
import { type DataState, placeName } from './data-state.ts';
import type { OpenPlace } from './sample-view.ts';

const PARTS = { train: 'Training', held: 'Held out' } as const;

export function createStatisticsView(open: OpenPlace): { readonly element: HTMLElement; update(state: DataState): void } {
  const bar = element('progress', { max: 1, 'aria-label': 'Reading all samples' });
  const text = element('span', { class: 'hint' });
  const working = element('p', { class: 'working' }, bar, text);
  const content = element('div', {});
  let shown: unknown = '';
  return {
    element: element('div', { class: 'statistics' }, working, content),
    update({ progress, statistics, failure }) {
      working.hidden = progress === undefined;
      text.textContent = progress?.text ?? '';
      if (progress?.share === undefined) bar.removeAttribute('value');
      else bar.value = progress.share;
      const now = failure ?? statistics;
      if (now === shown) return;
      shown = now;
      fill(
        content,
        failure === undefined ? undefined : failureElement(failure),
        statistics ? statisticsElements(statistics, open) : undefined,
      );
    },
  };
}

const failureElement = (failure: string): HTMLElement =>
  element(
    'div',
    { class: 'notice notice-error' },
    element('strong', {}, 'Training would stop at this data.'),
    element('pre', { class: 'failure' }, failure),
  );

function statisticsElements({ drawn, parts, leaks, reports, comparedAtMost }: DataStatistics, open: OpenPlace): HTMLElement[] {
  const isPartly = parts.some(({ samples }) => samples > comparedAtMost);
  return [
    ...(drawn ? [element('p', { class: 'notice' }, drawnText(drawn))] : []),
    ...parts.map(part => partElement(part, open)),
    element('h2', {}, 'Between the parts'),
    findingElement('Held-out samples that are also trained on', leaks, open),
    ...(isPartly ? [element('p', { class: 'hint' }, `Only the first ${grouped(comparedAtMost)} samples were compared.`)] : []),
    element('details', {}, element('summary', {}, 'What a run writes into its log'), element('pre', {}, reports.join('\n\n'))),
  ];
}

function partElement(part: PartStatistics, open: OpenPlace): HTMLElement {
  const { samples, lengths, histogram, shapes, padding, labels } = part;
  return element(
    'section',
    { class: 'part' },
    element('h2', {}, PARTS[part.part]),
    element('p', {}, `${counted(samples, 'sample')}, ${tokensText(part)}.`),
    histogram.length < 2
      ? undefined
      : barTable(
          `Lengths in tokens: median ${lengths.median}, 90% up to ${lengths.p90}, longest ${lengths.max}`,
          ['Tokens', 'Samples'],
          countBars(histogram.map(({ from, to, count }) => ({ name: to - from === 1 ? `${from}` : `${from}–${to - 1}`, count }))),
        ),
    shapes.length === 0 ? undefined : shapeTable(shapes, padding),
    labels.length === 0 ? undefined : barTable('Labels', ['Label', 'Count'], countBars(labels)),
    findingElement('Duplicates', part.duplicates, open),
    findingElement('The same input with another answer', part.conflicts, open),
    part.emptyAnswers && findingElement('Empty answers', part.emptyAnswers, open),
  );
}

/** Counts as bars, in proportion to the largest. */
function countBars(counts: readonly { readonly name: string; readonly count: number }[]): Bar[] {
  const most = Math.max(1, ...counts.map(({ count }) => count));
  return counts.map(({ name, count }) => ({ name, text: grouped(count), share: count / most }));
}

function shapeTable(shapes: PartStatistics['shapes'], padding: number): HTMLElement {
  const heads = ['Batch shape', 'Batches', 'Samples', 'Padding', ''];
  return element(
    'table',
    { class: 'data bars' },
    element('caption', {}, `Batches of an epoch: ${percent(padding)} of all tokens only fill up`),
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        heads.map((head, i) => (head === '' ? element('td', {}) : element('th', { scope: 'col', class: i > 0 ? 'number' : '' }, head))),
      ),
    ),
    element(
      'tbody',
      {},
      shapes.map(({ batch, tokens, batches, samples, padding: own }) => {
        const filled = element('div', { class: 'filled' });
        filled.style.width = `${100 * (1 - own)}%`;
        return element(
          'tr',
          {},
          element('th', { scope: 'row' }, `${batch} × ${grouped(tokens)}`),
          [grouped(batches), grouped(samples), percent(own)].map(text => element('td', { class: 'number' }, text)),
          element('td', { class: 'drawn', 'aria-hidden': 'true' }, element('div', { class: 'shape' }, filled)),
        );
      }),
    ),
  );
}

function findingElement(what: string, { count, groups }: Finding, open: OpenPlace): HTMLElement {
  if (count === 0) return element('p', { class: 'hint' }, `${what}: none`);
  return element(
    'details',
    { class: 'finding' },
    element('summary', {}, `${what}: ${grouped(count)}`),
    element(
      'ul',
      {},
      groups.map(group =>
        element(
          'li',
          {},
          group.flatMap((place, i) => [i > 0 ? ' = ' : undefined, placeButton(place, open)]),
        ),
      ),
    ),
  );
}

function placeButton(place: SamplePlace, open: OpenPlace): HTMLElement {
  const text = `${placeName(place)}${place.held ? ' (held out)' : ''}`;
  return element('button', { class: 'link', type: 'button', title: place.file, onclick: () => open(place) }, text);
}
