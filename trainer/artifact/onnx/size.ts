/** Sizes that are only known when a model runs: polynomials in the batch size and the length, fitted to several traces. */
import { GraphError } from '../../graph/types.ts';
import { elementAt } from '../../narrow.ts';

/** A sum of integer multiples of batchᵇ · tokensᵗ. */
export type Size = readonly Term[];

interface Term {
  readonly factor: number;
  readonly batch: number;
  readonly tokens: number;
}

/** Batch sizes and lengths in tokens; all combinations are traced. */
export interface SampleGrid {
  readonly batches: readonly number[];
  readonly lengths: readonly number[];
}

export const fixed = (size: number): Size => (size === 0 ? [] : [{ factor: size, batch: 0, tokens: 0 }]);

/** The value of a constant size; undefined for any other. */
export function fixedValue(size: Size): number | undefined {
  const [term, ...more] = size;
  if (!term) return 0;
  return more.length === 0 && term.batch === 0 && term.tokens === 0 ? term.factor : undefined;
}

export const keyOfSize = (size: Size): string => size.map(({ factor, batch, tokens }) => `${factor}·b${batch}t${tokens}`).join('+');

export const sameSize = (a: Size, b: Size): boolean => keyOfSize(a) === keyOfSize(b);

export function plus(a: Size, b: Size): Size {
  const sums = new Map<string, Term>();
  for (const term of [...a, ...b]) {
    const key = `${term.batch} ${term.tokens}`;
    sums.set(key, { ...term, factor: term.factor + (sums.get(key)?.factor ?? 0) });
  }
  return [...sums.values()].filter(({ factor }) => factor !== 0).sort((x, y) => x.batch - y.batch || x.tokens - y.tokens);
}

export const valueAt = (size: Size, batch: number, tokens: number): number =>
  size.reduce((sum, term) => sum + term.factor * batch ** term.batch * tokens ** term.tokens, 0);

/**
 * Fits the unique polynomial through these values whose degree is below the number of samples.
 * @param values in grid order: all lengths of the first batch size come first
 * @throws GraphError if its coefficients are not integers
 */
export function fitSize(values: readonly number[], { batches, lengths }: SampleGrid): Size {
  const byBatch = batches.map((_, b) => coefficients(lengths, values.slice(b * lengths.length, (b + 1) * lengths.length)));
  const terms = lengths.flatMap((_, tokens) =>
    coefficients(
      batches,
      byBatch.map(found => elementAt(found, tokens)),
    ).map((factor, batch) => ({ factor: Math.round(factor), error: Math.abs(factor - Math.round(factor)), batch, tokens })),
  );
  if (terms.some(({ error }) => error > LARGEST_ERROR))
    throw new GraphError(`no polynomial in the sizes of the input has the values ${values}`);
  return plus(
    terms.map(({ factor, batch, tokens }) => ({ factor, batch, tokens })),
    [],
  );
}

/** The largest rounding error of an integer coefficient, for sizes below 2^53. */
const LARGEST_ERROR = 1e-3;

/** The coefficients, lowest first, of the polynomial through the points (Newton's divided differences). */
function coefficients(xs: readonly number[], ys: readonly number[]): number[] {
  const differences = [...ys];
  for (let order = 1; order < xs.length; order++)
    for (let i = xs.length - 1; i >= order; i--)
      differences[i] = (elementAt(differences, i) - elementAt(differences, i - 1)) / (elementAt(xs, i) - elementAt(xs, i - order));
  // Horner's rule: the polynomial so far times (x − xs[i]), and the next difference.
  const found = xs.map(() => 0);
  for (let i = xs.length - 1; i >= 0; i--) {
    for (let power = xs.length - 1; power >= 0; power--)
      found[power] = (found[power - 1] ?? 0) - elementAt(xs, i) * elementAt(found, power);
    found[0] = elementAt(found, 0) + elementAt(differences, i);
  }
  return found;
}
