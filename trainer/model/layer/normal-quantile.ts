/** The quantile of the standard normal distribution. */

/** Φ(z) = ½ + φ(z) · Σ z²ⁿ⁺¹ / (2n + 1)!! (Marsaglia 2004); all terms have the sign of z, so none cancel. */
function below(z: number): number {
  let [term, sum] = [z, z];
  for (let odd = 3; Math.abs(term) > Math.abs(sum) * Number.EPSILON; odd += 2) {
    term *= z ** 2 / odd;
    sum += term;
  }
  return 0.5 + density(z) * sum;
}

const density = (z: number): number => Math.exp(-(z ** 2) / 2) / Math.sqrt(2 * Math.PI);

/** Steps of Newton's method; far quantiles need about ten. */
const STEPS = 60;

/** The z with Φ(z) = share, for a share from 0.5 up and below 1: there Φ is concave, so Newton's steps from 0 never pass z. */
function above(share: number): number {
  let z = 0;
  for (let step = 0; step < STEPS; step++) {
    const next = z - (below(z) - share) / density(z);
    if (!(next > z)) break;
    z = next;
  }
  return z;
}

/** Returns the value that this share of a standard normal variable is below. @param share between 0 and 1, both excluded */
export const normalQuantile = (share: number): number => (share < 0.5 ? -above(1 - share) : above(share));
