/** The scales of an open cell and the distribution of its scores. They do not depend on the budget, and are memoized with the scores. */
import { createScale, linearScale, type Scale, type ScaleName } from '../../shared/scale.ts';
import type { CellScores } from '../score-store.ts';

export interface CellScales {
  /** Scale of the profile; linear bars start at zero, so that their lengths can be compared. */
  readonly profile: Scale;
  /** Scale of the histogram; linear in place of ranks, which are uniform by definition. */
  readonly spread: Scale;
  /** Counts of the histogram's bins. */
  readonly counts: Int32Array;
}

export interface Histogram {
  /** Number of rows in each of several equal parts of the scale. */
  readonly counts: Int32Array;
  /** Number of selected rows in each part. */
  readonly selected: Int32Array;
}

export interface HistogramContent {
  readonly histogram: Histogram;
  readonly scale: Scale;
  /** The lowest selected score. */
  readonly threshold?: number;
  /** The term for marked rows: "selected" or "trained". */
  readonly mark: string;
}

export const BINS = 48;

const known = new WeakMap<CellScores, Map<ScaleName, CellScales>>();

export function scalesOf(cell: CellScores, name: ScaleName): CellScales {
  const byName = known.get(cell) ?? new Map<ScaleName, CellScales>();
  known.set(cell, byName);
  const found = byName.get(name);
  if (found) return found;
  const { scores, min, max } = cell;
  const spread = name === 'log' ? createScale('log', scores) : linearScale(min, max);
  const profile = name === 'linear' ? linearScale(Math.min(0, min), max) : name === 'log' ? spread : createScale('rank', scores);
  const made = { profile, spread, counts: binCounts(scores, undefined, spread, BINS) };
  byName.set(name, made);
  return made;
}

/** @param rows the rows to count; undefined for all */
export function binCounts(scores: Float32Array, rows: Int32Array | undefined, scale: Scale, bins: number): Int32Array {
  const counts = new Int32Array(bins);
  const { length } = rows ?? scores;
  for (let i = 0; i < length; i++) {
    const position = scale.position(scores[rows?.[i] ?? i] ?? Number.NaN);
    const bin = Math.min(bins - 1, Math.floor(position * bins));
    if (bin >= 0) counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return counts;
}
