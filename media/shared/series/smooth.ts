/** Exponential smoothing of a curve. */

/**
 * A running mean in which each point has `weight` times the weight of the next. It is divided by the sum of the weights so far, so that the
 * first values are not pulled toward zero (as in Adam's moments and TensorBoard).
 * @param weight below 1; 0 returns the values unchanged
 */
export function smooth(values: Float64Array, weight: number): Float64Array {
  const smoothed = new Float64Array(values.length);
  let mean = 0;
  let mass = 0;
  for (let i = 0; i < values.length; i++) {
    mean = weight * mean + (1 - weight) * (values[i] ?? Number.NaN);
    mass = weight * mass + (1 - weight);
    smoothed[i] = mean / mass;
  }
  return smoothed;
}

/** The weight for a slider position from 0 to 1, with more resolution near 1. */
export const smoothingWeight = (slider: number): number => (slider <= 0 ? 0 : Math.min(0.999, 1 - 10 ** (-3 * slider)));

/** Describes a weight by the number of points that a smoothed value averages, 1 / (1 − weight). */
export const smoothingText = (weight: number): string =>
  weight === 0 ? 'off' : `averages ${Math.max(2, Math.round(1 / (1 - weight)))} points`;
