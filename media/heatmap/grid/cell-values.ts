/** The value of each cell of the grid, which determines its color. */
import { createScale, differenceScale, linearScale, type Scale, type ScaleName } from '../../shared/scale.ts';
import type { SetScores } from '../score-store.ts';

export type Statistic = 'mean' | 'max' | 'selected';
export const statistics: readonly Statistic[] = ['mean', 'max', 'selected'];

/** importance: one set. difference: A − B. overlap: the Jaccard index of the selections. */
export type View = 'importance' | 'difference' | 'overlap';

/** Returns the value of each cell; NaN without scores. */
export function importanceValues(names: readonly string[], scores: SetScores, statistic: Statistic, shares: Float64Array): Float64Array {
  if (statistic === 'selected') return shares;
  return Float64Array.from(names, name => scores.get(name)?.[statistic] ?? Number.NaN);
}

export interface Comparison {
  readonly values: Float64Array;
  /** The meaning of a difference of 1. */
  readonly unit: string;
}

/**
 * Computes A − B of each cell, for any pair of measures. For one measure, this is the plain difference. For two measures, each value is
 * first divided by the mean of its measure over the cells. On the logarithmic scale, it is log10(A / B) of these values; by rank, the
 * difference of the shares of cells below.
 */
export function differences(a: Float64Array, b: Float64Array, scale: ScaleName, isSameMeasure: boolean): Comparison {
  if (scale === 'rank') {
    const [rankA, rankB] = [createScale('rank', a), createScale('rank', b)];
    return {
      values: a.map((value, i) => rankA.position(value) - rankB.position(b[i] ?? Number.NaN)),
      unit: 'difference of ranks (1: first compared with last)',
    };
  }
  const [unitA, unitB] = isSameMeasure ? [1, 1] : [meanOf(a), meanOf(b)];
  const each = isSameMeasure ? '' : ', each as a multiple of its mean';
  if (scale === 'log')
    return { values: a.map((value, i) => logRatio(value / unitA, (b[i] ?? Number.NaN) / unitB)), unit: `log₁₀(A / B)${each}` };
  return { values: a.map((value, i) => value / unitA - (b[i] ?? Number.NaN) / unitB), unit: `A − B${each}` };
}

const logRatio = (a: number, b: number): number => (a > 0 && b > 0 ? Math.log10(a / b) : Number.NaN);

function meanOf(values: Float64Array): number {
  const finite = values.filter(Number.isFinite);
  return finite.reduce((sum, value) => sum + value, 0) / Math.max(1, finite.length) || 1;
}

/** The color scale of a view. */
export function scaleOf(view: View, statistic: Statistic, scale: ScaleName, values: Float64Array): Scale {
  switch (view) {
    case 'difference':
      return differenceScale(values);
    case 'overlap':
      return linearScale(0, 1);
    case 'importance':
      return createScale(statistic === 'selected' && scale === 'log' ? 'linear' : scale, values);
  }
}
