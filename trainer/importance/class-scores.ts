/** From the scores of single classes to one score a row; and when that says nothing. */
import type { MeasureName } from './measure.ts';

/** The deciles and both ends, which the paper takes the mean of. */
const QUANTILES = 11;

/**
 * The quantile of a sorted list by linear interpolation, as NumPy and PyTorch have it.
 * @param share from 0 to 1
 */
export function quantile(sorted: Float32Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const [a = 0, b = a] = sorted.subarray(below, below + 2);
  return a + (b - a) * (place - below);
}

/** (1/11) Σ_{k=0..10} Q_{10k%} of a row's scores over the classes. @param sorted ascending, [classes] */
function quantilesMean(sorted: Float32Array): number {
  let sum = 0;
  for (let k = 0; k < QUANTILES; k++) sum += quantile(sorted, k / (QUANTILES - 1));
  return sum / QUANTILES;
}

const mean = (sorted: Float32Array): number => sorted.reduce((a, b) => a + b, 0) / sorted.length;

const reductions: Readonly<Partial<Record<MeasureName, (sorted: Float32Array) => number>>> = {
  qm_taylor: quantilesMean,
  class_max_taylor: sorted => sorted.at(-1) ?? 0,
  class_mean_taylor: mean,
};

/**
 * One score a row.
 * @param classScores non-negative, [classes, rows]; a class without samples is left out
 * @param counts samples of each class
 */
export function reduceClasses(measure: MeasureName, classScores: Float32Array, counts: readonly number[]): Float32Array {
  const reduce = reductions[measure];
  if (!reduce) throw new Error(`${measure} is not made of classes`);
  const rows = classScores.length / counts.length;
  const present = [...counts.keys()].filter(label => (counts[label] as number) > 0);
  return Float32Array.from({ length: rows }, (_, row) =>
    reduce(Float32Array.from(present, label => classScores[label * rows + row] as number).sort()),
  );
}
