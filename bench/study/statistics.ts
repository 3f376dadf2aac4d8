/** Paired comparisons: the t test, effect size and confidence interval, and Holm's correction for multiple comparisons. Pure. */

export interface Paired {
  readonly pairs: number;
  readonly mean: number;
  /** Half of the 95% confidence interval of the mean. */
  readonly margin: number;
  /** Mean over standard deviation of the differences, corrected for few pairs (Hedges' g of paired samples). */
  readonly effect: number;
  /** Two-sided p value of Student's paired t test; 1 if all differences are 0. */
  readonly p: number;
}

export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard deviation of a sample, over n − 1; 0 for a single value. */
export function deviation(values: readonly number[]): number {
  const center = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - center) ** 2, 0) / Math.max(1, values.length - 1));
}

/** Returns undefined for fewer than two differences, which have no spread. */
export function pairedTest(differences: readonly number[]): Paired | undefined {
  const pairs = differences.length;
  if (pairs < 2) return undefined;
  const [center, spread, freedom] = [mean(differences), deviation(differences), pairs - 1];
  const error = spread / Math.sqrt(pairs);
  const margin = error * criticalT(freedom);
  if (spread === 0)
    return {
      pairs,
      mean: center,
      margin,
      effect: center === 0 ? 0 : Math.sign(center) * Number.POSITIVE_INFINITY,
      p: center === 0 ? 1 : 0,
    };
  const effect = (center / spread) * (1 - 3 / (4 * freedom - 1));
  return { pairs, mean: center, margin, effect, p: twoSidedP(center / error, freedom) };
}

/** P(|T| ≥ |t|) of Student's distribution: the regularized incomplete beta function I with parameters ν/2 and 1/2 at ν / (ν + t²). */
export const twoSidedP = (t: number, freedom: number): number => incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);

/** The t beyond which 5% of the distribution lie, found by bisection. */
function criticalT(freedom: number): number {
  let [low, high] = [0, 100];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (twoSidedP(middle, freedom) > 0.05) low = middle;
    else high = middle;
  }
  return high;
}

/**
 * Holm's step-down p values of a family of tests (Holm 1979): the smallest is multiplied by the number of tests, the next by one less, and
 * so on. None is smaller than the previous one.
 */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((p, i) => ({ p, i })).sort((a, b) => a.p - b.p);
  const adjusted = pValues.map(() => 1);
  let largest = 0;
  for (const [rank, { p, i }] of order.entries()) {
    largest = Math.min(1, Math.max(largest, p * (pValues.length - rank)));
    adjusted[i] = largest;
  }
  return adjusted;
}

const SMALLEST = 1e-300;
const ENOUGH = 1e-14;

/** I_x(a, b) by its continued fraction (Lentz's method; Abramowitz and Stegun 26.5.8). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  // The fraction converges quickly below this threshold.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
  const away = (value: number): number => (Math.abs(value) < SMALLEST ? SMALLEST : value);
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m < 500; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    fraction *= d * c;
    if (Math.abs(d * c - 1) < ENOUGH) break;
  }
  return front * fraction;
}

/** ln Γ(z) by Stirling's series, after raising the argument above 10. */
function logGamma(z: number): number {
  let [shift, x] = [0, z];
  for (; x < 10; x++) shift += Math.log(x);
  const series = 1 / (12 * x) - 1 / (360 * x ** 3) + 1 / (1260 * x ** 5) - 1 / (1680 * x ** 7);
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series - shift;
}
