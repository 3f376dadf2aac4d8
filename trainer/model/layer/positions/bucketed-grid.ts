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

/** The place of each patch along a side, from 0 to 1, in float32. */
type Fractions = (patches: number) => readonly number[];

/** Multiples of a rounded step (Idefics3). */
const bySteps: Fractions = patches => {
  const step = Math.fround(1 / patches);
  const last = Math.fround(1 - 1e-6);
  return Array.from({ length: patches }, (_, i) => Math.min(Math.fround(i * step), last));
};

/** Rounded quotients (MiniCPM-V). */
export const byQuotients: Fractions = patches => Array.from({ length: patches }, (_, i) => Math.fround(i / patches));

/** The entry of each patch along a side. @param side number of entries */
export function bucketsOf(patches: number, side: number, fractions: Fractions): number[] {
  const bounds = boundaries(side);
  return fractions(patches).map(at => bounds.filter(bound => bound <= at).length);
}

/** The entry of each patch, row by row, by multiples of rounded steps. @param side of the table's grid */
export function bucketedGrid([rows, columns]: GridSize, side: number): number[] {
  const [down, across] = [bucketsOf(rows, side, bySteps), bucketsOf(columns, side, bySteps)];
  return Array.from({ length: rows * columns }, (_, i) => elementAt(down, Math.floor(i / columns)) * side + elementAt(across, i % columns));
}
