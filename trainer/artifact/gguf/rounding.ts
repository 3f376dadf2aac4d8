/** Bounds how far a tensor of a GGUF file may be from the values that it stands for. */

/** The relative root mean square error; 0 if zeros stayed zeros. */
export function errorOf(found: Float32Array, expected: Float32Array): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [squares, size] = [0, 0];
  for (let i = 0; i < found.length; i++) {
    const value = expected[i] as number;
    squares += ((found[i] as number) - value) ** 2;
    size += value * value;
  }
  return squares === 0 ? 0 : Math.sqrt(squares / size);
}

/**
 * The tolerance per type: twice the error of the worst of several normal and heavy-tailed tensors. Rows in the wrong place have an error of
 * 140 %. Types that are not listed are exact.
 */
const LARGEST: Readonly<Record<string, number>> = {
  F32: 1e-6,
  F16: 1e-3,
  BF16: 4e-3,
  Q8_0: 0.015,
  Q6_K: 0.05,
  Q5_K: 0.08,
  Q5_0: 0.12,
  Q5_1: 0.1,
  Q4_K: 0.16,
  Q4_0: 0.25,
  Q4_1: 0.2,
  MXFP4: 0.25,
};

export const largestError = (type: string): number => LARGEST[type] ?? 0;
