/** The content of each pixel column of a strip of neurons: the highest score, and the number of selected neurons. Pure. */

import type { ColorMap } from '../../shared/color-maps.ts';
import type { Scale } from '../../shared/scale.ts';
import type { Viewport } from '../grid/viewport.ts';
import type { CellScores } from '../score-store.ts';
import { createRangeMax, type RangeMax } from './range-max.ts';

export type StripOrder = 'position' | 'sorted';

/** The neurons of a cell in the order of the strip. */
export interface Strip {
  readonly rows: number;
  readonly maxima: RangeMax;
  /** Number of selected neurons among the first i. [rows + 1] */
  readonly selectedBefore: Int32Array;
  /** Returns the neuron at a position. */
  readonly neuronAt: (place: number) => number;
}

/** The content of one strip, or of two aligned strips. */
export interface StripContent {
  readonly a: Strip;
  readonly scaleA: Scale;
  /** The strip of the second cell, drawn upside down below the first. */
  readonly b?: Strip;
  readonly scaleB?: Scale;
  readonly map: ColorMap;
  /** The unit of the axis. */
  readonly unit: 'neuron' | 'column' | 'rank';
}

/** Maxima in the order of another cell, memoized because every move of the budget needs them. */
const sortedMaxima = new WeakMap<CellScores, { readonly by: CellScores; readonly maxima: RangeMax }>();

function maximaInOrder(cell: CellScores, by: CellScores): RangeMax {
  const known = sortedMaxima.get(cell);
  if (known?.by === by) return known.maxima;
  const values = new Float32Array(cell.scores.length);
  for (let place = 0; place < values.length; place++) values[place] = cell.scores[by.order[place] ?? -1] ?? Number.NaN;
  const maxima = createRangeMax(values);
  sortedMaxima.set(cell, { by, maxima });
  return maxima;
}

/**
 * @param isSelected [rows] 1 for selected rows
 * @param by the cell whose order 'sorted' uses; two aligned strips need the same one
 */
export function createStrip(cell: CellScores, isSelected: Uint8Array, order: StripOrder, by: CellScores = cell): Strip {
  const rows = cell.scores.length;
  const sorted = order === 'sorted' ? by.order : undefined;
  const selectedBefore = new Int32Array(rows + 1);
  for (let place = 0, count = 0; place < rows; place++) {
    count += isSelected[sorted?.[place] ?? place] ?? 0;
    selectedBefore[place + 1] = count;
  }
  const maxima = sorted ? maximaInOrder(cell, by) : cell.maxima;
  return { rows, maxima, selectedBefore, neuronAt: place => sorted?.[place] ?? place };
}

/** Returns the positions that one pixel column covers; at least one. */
export function placesAt(
  { start, length }: Viewport,
  x: number,
  width: number,
  rows: number,
): { readonly from: number; readonly to: number } {
  const from = Math.min(rows - 1, Math.floor(start + (x / width) * length));
  return { from, to: Math.min(rows, Math.max(from + 1, Math.floor(start + ((x + 1) / width) * length))) };
}

export interface Column {
  readonly max: number;
  readonly selected: number;
}

export const columnOf = ({ maxima, selectedBefore }: Strip, from: number, to: number): Column => ({
  max: maxima.max(from, to),
  selected: (selectedBefore[to] ?? 0) - (selectedBefore[from] ?? 0),
});
