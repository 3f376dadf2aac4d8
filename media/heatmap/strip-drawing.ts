/** What a strip of neurons shows in each pixel: the highest score of the neurons there, and how many of them are selected. Pure. */

import { createRangeMax, type RangeMax } from './range-max.ts';
import type { CellScores } from './score-store.ts';
import type { Viewport } from './viewport.ts';

export type StripOrder = 'position' | 'sorted';

/** The neurons of a cell in the order of the strip. */
export interface Strip {
  readonly rows: number;
  readonly maxima: RangeMax;
  /** Selected neurons among the first i, [rows + 1]. */
  readonly selectedBefore: Int32Array;
  /** The neuron at a place. */
  readonly neuronAt: (place: number) => number;
}

/**
 * @param selected rows that are trained, in no order
 * @param order whose order 'sorted' takes: two strips below each other need one
 */
export function createStrip(cell: CellScores, selected: Int32Array, order: StripOrder, by: CellScores = cell): Strip {
  const rows = cell.scores.length;
  const isSelected = new Uint8Array(rows);
  for (const row of selected) isSelected[row] = 1;
  const sorted = order === 'sorted' ? by.order : undefined;
  const neuronAt = (place: number): number => sorted?.[place] ?? place;
  const maxima = sorted ? createRangeMax(Float32Array.from(sorted, row => cell.scores[row] as number)) : cell.maxima;
  const selectedBefore = new Int32Array(rows + 1);
  for (let place = 0; place < rows; place++)
    selectedBefore[place + 1] = (selectedBefore[place] as number) + (isSelected[neuronAt(place)] as number);
  return { rows, maxima, selectedBefore, neuronAt };
}

/** Places that a column of pixels covers: at least one. */
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
  selected: (selectedBefore[to] as number) - (selectedBefore[from] as number),
});

/** The largest scores of `count` equal parts of a module's rows, as shares of the module's largest. */
export function profileOf({ maxima, max, scores }: CellScores, count: number): Float32Array {
  const parts = Math.min(count, scores.length);
  return Float32Array.from({ length: parts }, (_, i) => {
    const [from, to] = [Math.floor((i * scores.length) / parts), Math.floor(((i + 1) * scores.length) / parts)];
    return max > 0 ? Math.max(0, maxima.max(from, to)) / max : 0;
  });
}
