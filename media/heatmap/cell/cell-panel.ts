/** The details of a cell: its figures, a strip of all neurons, a histogram of the scores, and the highest ones. */
import { grouped, percent } from '../../../trainer/protocol/format.ts';
import { element, fill, setText } from '../../shared/element.ts';
import type { Theme } from '../../shared/theme.ts';
import type { Tooltip } from '../../shared/tooltip.ts';
import type { TooltipContent } from '../../shared/tooltip-content.ts';
import { createButton, createSwitch } from '../control-parts.ts';
import type { Picture } from '../picture.ts';
import type { CellScores } from '../score-store.ts';
import { cellFacts, scoreText } from './cell-facts.ts';
import { BINS, binCounts, scalesOf } from './cell-scales.ts';
import { createHistogramView } from './histogram.ts';
import { markOf, selectedRows } from './selection-view.ts';
import { createStrip, type StripOrder } from './strip-drawing.ts';
import { createStripView } from './strip-view.ts';
import { createTopList } from './top-list.ts';

export interface CellPanelParams {
  readonly tooltip: Tooltip;
  onClose(): void;
  onOrder(order: StripOrder): void;
  onExport(): void;
}

export interface CellPanel {
  readonly element: HTMLElement;
  /** @param module undefined if no cell is open */
  update(picture: Picture, module: number | undefined, theme: Theme): void;
  focus(): void;
}

const ZOOM = 2;

export function createCellPanel({ tooltip, onClose, onOrder, onExport }: CellPanelParams): CellPanel {
  const title = element('h2', { tabindex: '-1' });
  const name = element('div', { class: 'subtitle' });
  const figures = element('dl', { class: 'figures' });
  const order = createSwitch('Order of the neurons', value => onOrder(value as StripOrder));
  const strip = createStripView({ onHover: showNeuron, sentenceOf: neuronSentence });
  const stripNote = element('p', { class: 'note' });
  const histogram = createHistogramView();
  const top = createTopList();
  const empty = element('p', { class: 'note' });
  const parts = element(
    'div',
    { class: 'cell-parts' },
    element(
      'div',
      { class: 'line' },
      element('h3', {}, 'Neurons'),
      order.element,
      element('span', { class: 'spring' }),
      element(
        'span',
        { class: 'buttons', role: 'group', 'aria-label': 'Zoom of the neurons' },
        createButton('−', 'Zoom out', () => strip.zoom(1 / ZOOM)),
        createButton('+', 'Zoom in', () => strip.zoom(ZOOM)),
        createButton('Fit', 'Show all neurons', () => strip.fit()),
      ),
    ),
    strip.element,
    stripNote,
    element('h3', {}, 'Distribution'),
    histogram.element,
    element('h3', {}, 'Highest'),
    top.element,
  );
  const root = element(
    'section',
    { class: 'cell-panel', 'aria-label': 'Cell', hidden: true },
    element(
      'header',
      {},
      element('div', {}, title, name),
      element(
        'span',
        { class: 'buttons' },
        createButton('CSV', 'Export the scores of this cell as CSV', onExport),
        createButton('✕', 'Close the cell (Escape)', onClose),
      ),
    ),
    figures,
    empty,
    parts,
  );
  let shown:
    | {
        readonly cellA: CellScores;
        readonly cellB?: CellScores;
        readonly neuronAt: (place: number) => number;
        readonly isSelected: Uint8Array;
        readonly mark: ReturnType<typeof markOf>;
        /** Rows that the run trains, whatever the budget selects; empty for scores without a run. */
        readonly isTrained: Uint8Array;
      }
    | undefined;

  function showNeuron(place: number | undefined, at: { readonly x: number; readonly y: number }): void {
    const content = place === undefined ? undefined : neuronFacts(place);
    if (content) tooltip.show(content, at);
    else tooltip.hide();
  }

  function neuronSentence(place: number): string {
    const { title: neuron, subtitle, facts } = neuronFacts(place) ?? { title: '', facts: [] };
    return [neuron, ...(subtitle ? [subtitle] : []), ...facts.map(([fact, value]) => `${fact} ${value}`)].join(', ');
  }

  function neuronFacts(place: number): TooltipContent | undefined {
    if (!shown || place >= shown.cellA.scores.length) return undefined;
    const { cellA, cellB, neuronAt, isSelected, isTrained, mark } = shown;
    const row = neuronAt(place);
    const rows = cellA.scores.length;
    const facts: (readonly [string, string])[] = [
      [cellB ? 'score A' : 'score', scoreText(cellA.scores[row])],
      [cellB ? 'rank A' : 'rank', `${grouped((cellA.ranks[row] ?? 0) + 1)} of ${grouped(rows)}`],
    ];
    if (cellB) facts.push(['score B', scoreText(cellB.scores[row])], ['rank B', grouped((cellB.ranks[row] ?? 0) + 1)]);
    const marks = [...(isSelected[row] ? [mark] : []), ...(isTrained[row] && mark !== 'trained' ? ['trained by the run'] : [])];
    return { title: `neuron ${grouped(row)}`, subtitle: marks.length > 0 ? marks.join(', ') : undefined, facts };
  }

  return {
    element: root,
    focus: () => title.focus(),
    update(picture, module, theme) {
      root.hidden = module === undefined;
      if (module === undefined) {
        shown = undefined;
        return;
      }
      const { title: label, subtitle, facts } = cellFacts(picture, module);
      setText(title, label);
      setText(name, subtitle ?? '');
      fill(figures, ...facts.map(([fact, value]) => element('div', {}, element('dt', {}, fact), element('dd', {}, value))));
      const { names, a, b, choice, trained, counts, countsB, state } = picture;
      const moduleName = names[module] ?? '';
      const [cellA, found] = [a.get(moduleName), b.get(moduleName)];
      // A module of another size has other neurons.
      const cellB = found && found.scores.length === cellA?.scores.length ? found : undefined;
      parts.hidden = !cellA;
      empty.hidden = cellA !== undefined;
      setText(empty, 'This module has no scores.');
      if (!cellA) return;
      const count = counts[module] ?? 0;
      const chosenA = selectedRows(cellA, count, trained.a.get(moduleName), choice);
      const chosenB = cellB && selectedRows(cellB, countsB?.[module] ?? 0, trained.b.get(moduleName), choice);
      const isSelected = marksOf(cellA.scores.length, chosenA);
      order.update(
        [
          { value: 'position', label: 'by position' },
          { value: 'sorted', label: 'sorted' },
        ],
        state.order,
      );
      const scalesA = scalesOf(cellA, state.scale);
      const stripA = createStrip(cellA, isSelected, state.order);
      // The strip announces the value at its cursor.
      const rows = cellA.scores.length;
      const mark = markOf(choice);
      const isTrained = marksOf(rows, trained.a.get(moduleName) ?? new Int32Array(0));
      shown = { cellA, cellB, neuronAt: stripA.neuronAt, isSelected, isTrained, mark };
      const sentence = `${grouped(rows)} neurons ${state.order === 'sorted' ? 'by descending score' : 'by position'}, ${grouped(chosenA.length)} ${mark} (${percent(chosenA.length / rows)}), scores from ${scoreText(cellA.min)} to ${scoreText(cellA.max)}`;
      strip.update(
        {
          a: stripA,
          scaleA: scalesA.profile,
          b: cellB && chosenB && createStrip(cellB, marksOf(rows, chosenB), state.order, cellA),
          scaleB: cellB && scalesOf(cellB, state.scale).profile,
          map: picture.bandMap,
          unit: state.order === 'sorted' ? 'rank' : 'neuron',
        },
        theme,
        sentence,
      );
      setText(
        stripNote,
        cellB
          ? `A is above, B below, with the same neurons. The ${mark} rows are highlighted. Scroll to zoom, drag to pan.`
          : `The ${mark} rows are highlighted. Scroll to zoom, drag to pan.`,
      );
      const { spread, counts: spreadCounts } = scalesA;
      const threshold = choice.kind === 'budget' ? cellA.scores[cellA.order[count - 1] ?? -1] : undefined;
      const spreadSelected = binCounts(cellA.scores, chosenA, spread, BINS);
      const spreadContent = { histogram: { counts: spreadCounts, selected: spreadSelected }, scale: spread, threshold, mark };
      histogram.update(spreadContent, theme, `Histogram of the scores: ${sentence}`);
      top.update(cellA, cellB, isSelected, mark);
    },
  };
}

function marksOf(rows: number, chosen: Int32Array): Uint8Array {
  const marks = new Uint8Array(rows);
  for (const row of chosen) marks[row] = 1;
  return marks;
}
