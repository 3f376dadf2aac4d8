/** Reduces the scores of single classes to one score per row, if the data allows it. */
/** Number of quantiles: the deciles and both ends, whose mean the paper uses. */
const QUANTILES = 11;

/**
 * The quantile of a sorted list by linear interpolation, as in NumPy and PyTorch.
 * @param share from 0 to 1
 */
export function quantile(sorted: Float32Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const [a = 0, b = a] = sorted.subarray(below, below + 2);
  return a + (b - a) * (place - below);
}

/** (1/11) Σ_{k=0..10} Q_{10k%} of a row's scores over the classes. @param sorted ascending, [classes] */
export function quantilesMean(sorted: Float32Array): number {
  let sum = 0;
  for (let k = 0; k < QUANTILES; k++) sum += quantile(sorted, k / (QUANTILES - 1));
  return sum / QUANTILES;
}

export const mean = (sorted: Float32Array): number => sorted.reduce((a, b) => a + b, 0) / sorted.length;

export const largest = (sorted: Float32Array): number => sorted.at(-1) ?? 0;

/**
 * One score per row.
 * @param reduce takes the scores of one row by class, ascending
 * @param classScores nonnegative, [classes, rows]; a class without samples is skipped
 * @param counts samples of each class
 */
export function reduceClasses(
  reduce: (sorted: Float32Array) => number,
  classScores: Float32Array,
  counts: readonly number[],
): Float32Array {
  const rows = classScores.length / counts.length;
  const present = [...counts.keys()].filter(label => (counts[label] as number) > 0);
  return Float32Array.from({ length: rows }, (_, row) =>
    reduce(Float32Array.from(present, label => classScores[label * rows + row] as number).sort()),
  );
}
