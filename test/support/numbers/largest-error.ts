/** Measures how far two lists of numbers differ. */

/** Returns the largest |actual − expected| / (1 + |expected|); NaN is infinitely far from anything except NaN. */
export function largestError(actual: readonly number[], expected: readonly number[]): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  return actual.reduce((worst, x, i) => {
    const want = expected[i] as number;
    if (Object.is(x, want)) return worst;
    const error = Math.abs(x - want) / (1 + Math.abs(want));
    return Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
  }, 0);
}
