/** The details of a cell: its figures, a strip of all neurons, a histogram of the scores, and the highest ones. */
import { element, fill, setText } from '../../shared/element.ts';
import type { Theme } from '../../shared/theme.ts';
import type { Tooltip } from '../../shared/tooltip.ts';
import type { TooltipContent } from '../../shared/tooltip-content.ts';
import { createButton, createSwitch } from '../controls/control-parts.ts';
import type { Option } from '../controls/options.ts';
import type { Picture } from '../picture.ts';
import { type CellContent, cellContent, neuronFacts, neuronSentence } from './cell-content.ts';
import { createHistogramView } from './histogram.ts';
import type { StripOrder } from './strip-drawing.ts';
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
/** Shown while a page that was hidden requests its scores again. */
const READING = 'Reading scores…';
const ORDERS: readonly Option<StripOrder>[] = [
  { value: 'position', label: 'by position' },
  { value: 'sorted', label: 'sorted' },
];

export function createCellPanel(params: CellPanelParams): CellPanel {
  const head = createHead(params);
  const neurons = createNeurons(params);
  const histogram = createHistogramView();
  const top = createTopList();
  const [empty, counts] = [element('p', { class: 'note' }), element('p', { class: 'note' })];
  const parts = element(
    'div',
    {},
    neurons.elements,
    element('h3', {}, 'Distribution of the scores'),
    histogram.element,
    counts,
    element('h3', {}, 'Highest scores'),
    top.element,
  );
  const root = element('section', { class: 'cell-panel', 'aria-label': 'Cell', hidden: true }, head.elements, empty, parts);
  return {
    element: root,
    focus: head.focus,
    update(picture, module, theme) {
      root.hidden = module === undefined;
      const content = module === undefined ? undefined : cellContent(picture, module);
      const shown = content?.neurons;
      if (content) head.update(content.head);
      neurons.update(shown, picture.state.order, theme);
      parts.hidden = shown === undefined;
      empty.hidden = shown !== undefined;
      empty.textContent = picture.a.size === 0 ? READING : 'This module has no scores.';
      if (!shown) return;
      histogram.update(shown.histogram, theme, `Histogram of the scores: ${shown.sentence}`);
      setText(counts, `A bar counts the ${shown.one}s of a score, on a logarithmic scale.`);
      top.update(shown);
    },
  };
}

/** Creates the title, the figures, and the Export and Close buttons. */
function createHead({ onClose, onExport }: Pick<CellPanelParams, 'onClose' | 'onExport'>) {
  const title = element('h2', { tabindex: '-1' });
  const name = element('div', { class: 'subtitle' });
  const figures = element('dl', { class: 'figures' });
  const buttons = element(
    'span',
    { class: 'buttons' },
    createButton('CSV', 'Export the scores of this cell as CSV', onExport),
    createButton('✕', 'Close the cell (Escape)', onClose),
  );
  return {
    elements: [element('header', {}, element('div', {}, title, name), buttons), figures],
    focus: () => title.focus(),
    update({ title: label, subtitle = '', facts }: TooltipContent): void {
      setText(title, label);
      setText(name, subtitle);
      fill(figures, ...facts.map(([fact, value]) => element('div', {}, element('dt', {}, fact), element('dd', {}, value))));
    },
  };
}

/** Creates the strip of all neurons with its order and zoom. */
function createNeurons({ tooltip, onOrder }: Pick<CellPanelParams, 'tooltip' | 'onOrder'>) {
  let shown: CellContent['neurons'];
  const title = element('h3');
  const order = createSwitch<StripOrder>('Order of the scores', onOrder);
  const strip = createStripView({
    onHover(place, at) {
      const facts = place === undefined || !shown ? undefined : neuronFacts(shown, place);
      if (facts) tooltip.show(facts, at);
      else tooltip.hide();
    },
    sentenceOf: place => (shown ? neuronSentence(shown, place) : ''),
  });
  const note = element('p', { class: 'note' });
  const zooms = element(
    'span',
    { class: 'buttons', role: 'group', 'aria-label': 'Zoom of the scores' },
    createButton('−', 'Zoom out', () => strip.zoom(1 / ZOOM)),
    createButton('+', 'Zoom in', () => strip.zoom(ZOOM)),
    createButton('Fit', 'Fit all scores', () => strip.fit()),
  );
  const line = element('div', { class: 'line' }, title, order.element, element('span', { class: 'spring' }), zooms);
  return {
    elements: [line, strip.element, note],
    update(next: CellContent['neurons'], sorted: StripOrder, theme: Theme): void {
      // The strip announces the value at its cursor.
      shown = next;
      if (!next) return;
      setText(title, next.one === 'column' ? 'Columns' : 'Neurons');
      order.update(ORDERS, sorted);
      strip.update(next.strip, theme, next.sentence);
      const highlighted = `Bars show scores; the ${next.mark} ones are highlighted. Scroll to zoom, drag to pan.`;
      setText(note, next.b ? `A is above, B below, ${next.one} by ${next.one}. ${highlighted}` : highlighted);
    },
  };
}
