/** Adds a low-rank product to a weight. */
import type { AdapterRank } from '../trained-parts.ts';

/**
 * W + (alpha / r)·B·A in place, each row summed in float64 and rounded once.
 * @param weight [out, in] @param a [r, in] @param b [out, r]
 */
export function addProduct(weight: Float32Array, a: Float32Array, b: Float32Array, { r, alpha }: AdapterRank): Float32Array {
  const width = a.length / r;
  const row = new Float64Array(width);
  for (let i = 0; i < b.length / r; i++) {
    const begin = i * width;
    for (let j = 0; j < width; j++) row[j] = weight[begin + j] as number;
    for (let k = 0; k < r; k++) {
      const factor = (alpha / r) * (b[i * r + k] as number);
      if (factor !== 0) for (let j = 0; j < width; j++) (row[j] as number) += factor * (a[k * width + j] as number);
    }
    weight.set(row, begin);
  }
  return weight;
}
