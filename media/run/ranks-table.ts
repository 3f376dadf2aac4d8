/** Memory and speed of each process of a run. */
import { byteSize, compact, percent } from '../../trainer/protocol/text/format.ts';
import type { RanksView, RankView } from '../../trainer/protocol/view/run.ts';
import { element } from '../shared/element.ts';

interface Column {
  readonly label: string;
  readonly title: string;
  readonly text: (rank: RankView) => string;
}

/** The numeric columns. */
const COLUMNS: readonly Column[] = [
  { label: 'Memory', title: 'Resident memory', text: ({ residentBytes }) => byteSize(residentBytes) },
  { label: 'Peak', title: 'Highest peak during training', text: ({ peakBytes }) => byteSize(peakBytes) },
  { label: 'Seconds per update', title: 'With the time of waiting', text: ({ secondsPerUpdate }) => compact(secondsPerUpdate) },
  {
    label: 'Waiting',
    title: 'Share of an update in which the process waits for an exchange or a slower process',
    text: ({ waitedSeconds, secondsPerUpdate }) => percent(waitedSeconds / secondsPerUpdate),
  },
  { label: 'Given per update', title: 'Bytes that the process gives per update', text: ({ bytesPerUpdate }) => byteSize(bytesPerUpdate) },
];

export function ranksTable({ step, ranks }: RanksView): HTMLElement {
  return element(
    'table',
    { class: 'data ranks' },
    element('caption', {}, `Processes at step ${step}`),
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        element('th', { scope: 'col' }, 'Rank'),
        element('th', { scope: 'col' }, 'Host'),
        COLUMNS.map(({ label, title }) => element('th', { scope: 'col', class: 'number', title }, label)),
      ),
    ),
    element('tbody', {}, ranks.map(row)),
  );
}

const row = (rank: RankView): HTMLElement =>
  element(
    'tr',
    {},
    element('th', { scope: 'row', title: `Process ${rank.pid}` }, String(rank.rank)),
    element('td', {}, rank.host),
    COLUMNS.map(({ text }) => element('td', { class: 'number' }, text(rank))),
  );
