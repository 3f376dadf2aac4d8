/** The second line of the toolbar: colors, zoom, table and export. */
import { type ColorMapName, colorMapNames } from '../../shared/color-maps.ts';
import { element } from '../../shared/element.ts';
import { type ScaleName, scaleNames } from '../../shared/scale.ts';
import type { Statistic } from '../grid/cell-values.ts';
import type { Picture } from '../picture.ts';
import type { MapFormat } from '../saved-files.ts';
import type { HeatmapViewState } from '../view-state.ts';
import { createButton, createSelect } from './control-parts.ts';
import type { Option } from './options.ts';

export interface LookActions {
  chosen(): HeatmapViewState;
  choose(change: Partial<HeatmapViewState>): void;
  zoom(factor: number | 'fit'): void;
  save(format: MapFormat): void;
}

export interface LookControls {
  readonly element: HTMLElement;
  update(picture: Picture): void;
}

const STATISTICS: readonly Option<Statistic>[] = [
  { value: 'mean', label: 'mean' },
  { value: 'max', label: 'max' },
  { value: 'selected', label: 'selected share' },
];
const SCALES: Readonly<Record<ScaleName, string>> = { linear: 'linear', log: 'logarithmic', rank: 'rank' };
const FORMATS: readonly MapFormat[] = ['png', 'svg', 'csv'];
const ZOOM = 1.5;

export function createLookControls({ chosen, choose, zoom, save }: LookActions): LookControls {
  const statistic = createSelect<Statistic>('Color by', value => choose({ statistic: value }));
  const scale = createSelect<ScaleName>('Scale', value => choose({ scale: value }));
  const map = createSelect<ColorMapName>('Colors', value => choose({ colorMap: value }));
  const zooms = element(
    'span',
    { class: 'buttons', role: 'group', 'aria-label': 'Zoom' },
    createButton('−', 'Zoom out', () => zoom(1 / ZOOM)),
    createButton('+', 'Zoom in', () => zoom(ZOOM)),
    createButton('Fit', 'Fit all layers', () => zoom('fit')),
  );
  const table = createButton('Table', 'Show the values as a table', () => choose({ isTable: !chosen().isTable }));
  const exports = FORMATS.map(format => createButton(format.toUpperCase(), `Export as ${format.toUpperCase()}`, () => save(format)));
  return {
    element: element(
      'div',
      { class: 'line' },
      statistic.element,
      scale.element,
      map.element,
      element('span', { class: 'spring' }),
      zooms,
      element('span', { class: 'buttons' }, table),
      element('span', { class: 'buttons', role: 'group', 'aria-label': 'Export' }, exports),
    ),
    update({ state, mapName }) {
      const isOverlap = state.view === 'overlap';
      statistic.update(STATISTICS, state.statistic, !isOverlap);
      scale.update(
        scaleNames.map(value => ({ value, label: SCALES[value] })),
        state.scale,
        !isOverlap,
      );
      map.update(
        colorMapNames.map(value => ({ value, label: value })),
        mapName,
        state.view !== 'difference',
      );
      table.setAttribute('aria-pressed', String(state.isTable));
      zooms.hidden = state.isTable;
    },
  };
}
