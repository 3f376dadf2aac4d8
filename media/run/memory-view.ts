/** Memory by component: predicted and measured, and the paper's split once the run has ended. */
import { byteSize, percent } from '../../trainer/protocol/text/format.ts';
import { element, fill } from '../shared/element.ts';
import { type MemoryRow, memoryRows } from './memory-rows.ts';
import { ranksTable } from './ranks-table.ts';
import type { View } from './view.ts';

export function createMemoryView(): View {
  const root = element('div', { class: 'memory' });
  let shown = '';
  return {
    element: root,
    update: ({ memory, ranks, summary, history }) => {
      const peak = history.highest('memory_peak_bytes');
      const gpuPeak = history.highest('gpu_memory_peak_bytes');
      const now = JSON.stringify([memory, ranks, summary?.memory, peak, gpuPeak]);
      if (now === shown) return;
      shown = now;
      if (!memory) return fill(root, element('p', { class: 'hint' }, 'The prediction appears when the training program has been built.'));
      const rows = memoryRows(memory, peak);
      const isByCause = rows.every(row => row.measured !== undefined);
      const measured = isByCause ? rows.reduce((sum, row) => sum + (row.measured ?? 0), 0) : gpuPeak;
      const most = Math.max(memory.predicted.totalBytes, measured ?? 0);
      fill(
        root,
        bar('Predicted', memory.predicted.totalBytes, most, rows, row => row.predicted),
        measured === undefined ? undefined : bar('Measured', measured, most, isByCause ? rows : [], row => row.measured ?? 0),
        table(rows, memory.predicted.totalBytes, measured),
        ranks && ranksTable(ranks),
        element(
          'p',
          { class: 'hint' },
          `Recomputation: ${memory.recompute}. ${byteSize(memory.availableBytes)} were free when the run began${memory.fits ? '' : `; the prediction was more than ${memory.usableBytes === memory.availableBytes ? 'that' : 'half of that'}`}. ` +
            (memory.device === 'gpu'
              ? `The tensors are in GPU memory${gpuPeak === undefined ? ', which is not measured.' : '. Measured: highest peak of its allocator since the process began.'}`
              : `Measured: highest peak of the process during training${ranks ? ', of rank 0' : ''}.`),
        ),
        summary?.memory ? paperSplit(summary.memory) : undefined,
      );
    },
  };
}

function bar(label: string, total: number, most: number, rows: readonly MemoryRow[], of: (row: MemoryRow) => number): HTMLElement {
  const parts = rows.map(row => {
    const part = element('span', { class: `memory-part swatch-${row.color}`, title: `${row.cause}: ${byteSize(of(row))}` });
    part.style.width = `${(100 * of(row)) / most}%`;
    return part;
  });
  return element(
    'div',
    { class: 'memory-bar', 'aria-hidden': 'true' },
    element('span', { class: 'memory-label' }, label),
    element('span', { class: 'memory-track' }, parts),
    element('span', { class: 'memory-total' }, byteSize(total)),
  );
}

function table(rows: readonly MemoryRow[], predicted: number, measured: number | undefined): HTMLElement {
  const number = (value: number | undefined): HTMLElement =>
    element('td', { class: 'number' }, value === undefined ? '–' : byteSize(value));
  const change = measured === undefined ? 0 : measured / predicted - 1;
  const difference = measured === undefined ? '' : `${change < 0 ? '−' : '+'}${percent(Math.abs(change))}`;
  return element(
    'table',
    { class: 'data' },
    element('caption', { class: 'visually-hidden' }, 'Memory by component'),
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        ...['Component', 'Predicted', 'Measured', 'Difference'].map((text, i) =>
          element('th', { scope: 'col', class: i === 1 || i === 2 ? 'number' : '' }, text),
        ),
      ),
    ),
    element(
      'tbody',
      {},
      rows.map(row =>
        element(
          'tr',
          {},
          element('th', { scope: 'row' }, element('span', { class: `swatch swatch-block swatch-${row.color}` }), row.cause),
          number(row.predicted),
          number(row.measured),
          element('td', { class: 'hint' }, row.note),
        ),
      ),
    ),
    element(
      'tfoot',
      {},
      element('tr', {}, element('th', { scope: 'row' }, 'Total'), number(predicted), number(measured), element('td', {}, difference)),
    ),
  );
}

const SPLIT = [
  ['mem_M', 'model for inference'],
  ['mem_FT', 'added by fine-tuning: trained parameters, gradients, optimizer'],
  ['mem_Aux', 'activations and others'],
  ['mem_TTL', 'total'],
  ['mem', 'mem_TTL − mem_M, the reported figure'],
] as const;

function paperSplit(memory: Readonly<Record<(typeof SPLIT)[number][0], number>>): HTMLElement {
  return element(
    'table',
    { class: 'data' },
    element('caption', {}, 'Measured, relative to the process before the model was loaded'),
    element(
      'tbody',
      {},
      SPLIT.map(([name, words]) =>
        element(
          'tr',
          {},
          element('th', { scope: 'row' }, element('code', {}, name)),
          element('td', { class: 'number' }, byteSize(memory[name])),
          element('td', { class: 'hint' }, words),
        ),
      ),
    ),
  );
}
