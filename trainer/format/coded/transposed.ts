/** Helpers of forms that store scales and zeros by group, and then by row. */
import type { TensorDType } from '../tensor-source.ts';

export const SCALE_TYPES: readonly TensorDType[] = ['F16', 'BF16', 'F32'];

/** Transposes [groups, rows]. */
export function transposed(values: Float32Array, groups: number, rows: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let group = 0; group < groups; group++) {
    for (let row = 0; row < rows; row++) out[row * groups + group] = values[group * rows + row] as number;
  }
  return out;
}
