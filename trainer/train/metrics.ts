/** Measures of predictions against the truth, as scikit-learn and SciPy define them. */

/** counts[actual class][predicted class]. */
export type Confusion = readonly (readonly number[])[];

/** Defines 0 / 0 as 0, as with scikit-learn's `zero_division`. */
const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
const given = (counts: Confusion, label: number): number => total(counts.map(row => row[label] ?? 0));

/** F1 of one class: 2·TP / (2·TP + FP + FN). */
export function f1(counts: Confusion, label: number): number {
  const hits = counts[label]?.[label] ?? 0;
  return ratio(2 * hits, total(counts[label] ?? []) + given(counts, label));
}

/** The unweighted mean of the classes' F1; classes that neither occur nor are predicted do not count, as in scikit-learn. */
export function macroF1(counts: Confusion): number {
  const met = counts.flatMap((row, label) => (total(row) + given(counts, label) > 0 ? [f1(counts, label)] : []));
  return ratio(total(met), met.length);
}

/** Matthews correlation for any number of classes (Gorodkin 2004); 0 if one side is constant. */
export function matthews(counts: Confusion): number {
  const samples = total(counts.map(total));
  const hits = total(counts.map((row, i) => row[i] ?? 0));
  const truth = counts.map(total);
  const guess = counts.map((_, label) => given(counts, label));
  const cross = hits * samples - total(truth.map((n, i) => n * (guess[i] ?? 0)));
  const spread = (sizes: readonly number[]) => samples * samples - total(sizes.map(n => n * n));
  return ratio(cross, Math.sqrt(spread(truth) * spread(guess)));
}

/** The probability that a logit stands for. */
export const sigmoid = (logit: number): number => 1 / (1 + Math.exp(-logit));

/** The index of the largest of `count` logits in row `row`, and its softmax probability; −1 if the logits are not numbers. */
export function likeliestLabel(
  logits: ArrayLike<number> | undefined,
  row: number,
  count: number,
): { readonly place: number; readonly probability: number } {
  const scores = Array.from({ length: count }, (_, label) => logits?.[row * count + label] ?? Number.NaN);
  const top = Math.max(...scores);
  return { place: scores.indexOf(top), probability: 1 / scores.reduce((sum, score) => sum + Math.exp(score - top), 0) };
}

/** The accuracy on each class's samples; undefined for classes without samples. */
export const classAccuracies = (counts: Confusion): (number | undefined)[] =>
  counts.map((row, i) => (total(row) === 0 ? undefined : (row[i] ?? 0) / total(row)));

export interface Quartiles {
  readonly min: number;
  readonly q1: number;
  readonly median: number;
  readonly q3: number;
  readonly max: number;
}

/** Quartiles by linear interpolation, NumPy's default. */
export function quartiles(values: readonly number[]): Quartiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => {
    const place = share * (sorted.length - 1);
    const low = sorted[Math.floor(place)] ?? Number.NaN;
    return low + (place % 1) * ((sorted[Math.ceil(place)] ?? Number.NaN) - low);
  };
  return { min: at(0), q1: at(0.25), median: at(0.5), q3: at(0.75), max: at(1) };
}

/** Pearson's correlation; 0 if one side is constant. */
export function pearson(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [total(a) / a.length, total(b) / b.length];
  const covariance = total(a.map((x, i) => (x - meanA) * ((b[i] ?? 0) - meanB)));
  const square = (values: readonly number[], mean: number) => total(values.map(x => (x - mean) ** 2));
  return ratio(covariance, Math.sqrt(square(a, meanA) * square(b, meanB)));
}

/** Pearson's correlation of the ranks; equal values share their mean rank. */
export const spearman = (a: readonly number[], b: readonly number[]): number => pearson(ranks(a), ranks(b));

function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => (values[i] ?? 0) - (values[j] ?? 0));
  const found = new Array<number>(values.length).fill(0);
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to < order.length && values[order[to] ?? -1] === values[order[from] ?? -1]) to++;
    for (const i of order.slice(from, to)) found[i] = (from + to - 1) / 2;
    from = to;
  }
  return found;
}

/** Number of bins, as in Guo et al. (2017). */
const BINS = 15;

/** Expected calibration error (Guo et al. 2017): the difference between confidence and accuracy, over bins of equal width. */
export function calibrationError(confidences: readonly number[], hits: readonly boolean[]): number {
  const bins = Array.from({ length: BINS }, () => ({ confidence: 0, hits: 0 }));
  for (const [i, confidence] of confidences.entries()) {
    const bin = bins[Math.min(BINS - 1, Math.floor(confidence * BINS))];
    if (!bin) continue;
    bin.confidence += confidence;
    bin.hits += Number(hits[i]);
  }
  return total(bins.map(({ confidence, hits: count }) => Math.abs(confidence - count))) / confidences.length;
}
