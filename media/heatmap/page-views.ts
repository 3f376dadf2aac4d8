/** The views of the heatmap page: the toolbar, the map or its table with the legend, and the open cell. */
import { element, setText } from '../shared/element.ts';
import type { Theme } from '../shared/theme.ts';
import { createTooltip } from '../shared/tooltip.ts';
import { cellFacts, cellSentence, valueText } from './cell/cell-facts.ts';
import { createCellPanel } from './cell/cell-panel.ts';
import type { StripOrder } from './cell/strip-drawing.ts';
import { type ControlActions, createControls } from './controls/controls.ts';
import type { GridContent } from './grid/grid-drawing.ts';
import { createGridView } from './grid/grid-view.ts';
import { createLegend } from './grid/legend.ts';
import { createTableView } from './grid/table-view.ts';
import type { PageState } from './page-state.ts';
import type { Picture } from './picture.ts';

export interface ViewActions extends Omit<ControlActions, 'zoom'> {
  /** Opens the cell of a module. */
  open(module: number): void;
  close(): void;
  order(order: StripOrder): void;
  saveCell(): void;
}

export interface PageViews {
  readonly elements: readonly HTMLElement[];
  draw(state: PageState, picture: Picture, theme: Theme): void;
  hideTooltip(): void;
  focusControls(): void;
  focusCell(): void;
  /** Focuses the map, or the button of the module in the table. */
  focusMap(module: number): void;
}

const READING = 'Reading scores…';

/** @param root contains the tooltip, above everything else */
export function createPageViews(root: HTMLElement, actions: ViewActions): PageViews {
  const tooltip = createTooltip(root);
  let picture: Picture | undefined;
  const grid = createGridView({
    onHover(module, at) {
      if (module === undefined || !picture) tooltip.hide();
      else tooltip.show(cellFacts(picture, module), at);
    },
    onOpen: actions.open,
  });
  const controls = createControls({ ...actions, zoom: factor => (factor === 'fit' ? grid.fit() : grid.zoom(factor)) });
  const table = createTableView(actions.open);
  const legend = createLegend();
  const status = element('div', { class: 'status' });
  const message = element('div', { class: 'message' }, READING);
  const cell = createCellPanel({ tooltip, onClose: actions.close, onOrder: actions.order, onExport: actions.saveCell });
  const footer = element('footer', {}, legend.element, status);
  const map = element('div', { class: 'map' }, grid.element, table.element, message, footer);
  return {
    elements: [controls.element, element('main', {}, map, cell.element)],
    draw(state, now, theme) {
      picture = now;
      const isEmpty = now.modules.length === 0;
      controls.update(now, state);
      grid.element.hidden = now.state.isTable || isEmpty;
      message.hidden = !isEmpty;
      setText(message, emptyText(state, now));
      grid.update(gridContent(now), theme);
      table.update(now);
      legend.update(now.meaning, now.map, now.scale);
      // The legend is hidden because a table has no colors.
      legend.element.hidden = now.state.isTable;
      cell.update(now, now.opened, theme);
      setText(status, state.status);
    },
    hideTooltip: tooltip.hide,
    focusControls: controls.focus,
    focusCell: cell.focus,
    focusMap: module => (picture?.state.isTable ? table.focus(module) : grid.focus()),
  };
}

/** The message shown if there is no map. */
function emptyText({ isReady }: PageState, { sourceA }: Picture): string {
  if (!isReady) return READING;
  if (sourceA?.isAwaited) return 'The scores are being computed. The first ones will appear here soon.';
  return sourceA?.problem ?? 'No scores to show.';
}

const gridContent = (picture: Picture): GridContent => ({
  grid: picture.grid,
  names: picture.names,
  positions: picture.positions,
  map: picture.map,
  textOf: module => valueText(picture, module),
  sentenceOf: module => cellSentence(picture, module),
  cellOf: module => picture.a.get(picture.names[module] ?? ''),
  opened: picture.opened,
});
