/**
 * Positions of patches by fractions of the image: a grid of any size looks its positions up in the table of a square grid (Dehghani et al.
 * 2023). Transformers compares float32 fractions with float32 boundaries, so rounding moves some patches by one entry; the same roundings
 * are made here.
 */
import { elementAt } from '../../../narrow.ts';
import type { GridSize } from './resize-grid.ts';

/** The number of float32 values that PyTorch's `arange` computes at once on a processor with AVX2, and how many of them belong to a pass. */
const LANES = 8;
const PASS = 2 * LANES;

/** The boundaries between the entries of a side, as `torch.arange(1 / side, 1, 1 / side)` rounds them. */
function boundaries(side: number): number[] {
  const step = 1 / side;
  const count = Math.ceil((1 - step) / step);
  const inPasses = count - (count % PASS);
  return Array.from({ length: Math.max(0, count) }, (_, i) => {
    const lane = i < inPasses ? i % LANES : 0;
    return Math.fround(Math.fround(step + step * (i - lane)) + lane * step);
  });
}

/** The entries of the patches along a side. */
function entriesOf(patches: number, side: number): number[] {
  const bounds = boundaries(side);
  const step = Math.fround(1 / patches);
  const last = Math.fround(1 - 1e-6);
  return Array.from({ length: patches }, (_, i) => {
    const at = Math.min(Math.fround(i * step), last);
    return bounds.filter(bound => bound <= at).length;
  });
}

/** The entry of each patch, row by row. @param side of the table's grid */
export function bucketedGrid([rows, columns]: GridSize, side: number): number[] {
  const down = entriesOf(rows, side);
  const across = entriesOf(columns, side);
  return Array.from({ length: rows * columns }, (_, i) => elementAt(down, Math.floor(i / columns)) * side + elementAt(across, i % columns));
}
