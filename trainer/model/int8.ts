/** Weights in 8 bits with one scale per row (the format of LLM.int8(), Dettmers et al. 2022; computed in floating point here). */
import type { VariableSpec } from '../graph/graph.ts';
import type { VariableData } from '../graph/program.ts';
import type { Shape } from '../graph/types.ts';
import type { RowCodes, StoredValues, WeightCoder } from '../graph/weight-coder.ts';

export interface Int8Variables {
  /** int8, of the weight's shape. */
  readonly codes: VariableSpec;
  /** float32 [out]: a value is its code · the scale of its row. */
  readonly scales: VariableSpec;
}

export const int8Variables = (name: string, shape: Shape): Int8Variables => ({
  codes: { name: `${name}.int8`, shape, dtype: 'int8' },
  scales: { name: `${name}.scales`, shape: [shape[0] as number], dtype: 'float32' },
});

const LARGEST = 127;

/** Returns the codes of a weight's values and one scale per row, so that the largest magnitude of a row becomes ±127. */
export function quantizeInt8(values: Float32Array, rows: number): RowCodes {
  const width = values.length / rows;
  const codes = new Int8Array(values.length);
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    let largest = 0;
    for (let i = row * width; i < (row + 1) * width; i++) largest = Math.max(largest, Math.abs(values[i] as number));
    scales[row] = largest / LARGEST;
    const inverse = largest > 0 ? LARGEST / largest : 0;
    for (let i = row * width; i < (row + 1) * width; i++) codes[i] = Math.round((values[i] as number) * inverse);
  }
  return { codes, scales };
}

/** Yields the values of the variables of one weight [out, …]. */
export async function* encodeInt8(
  { name, shape }: Pick<VariableSpec, 'name' | 'shape'>,
  values: StoredValues,
  coder: WeightCoder,
): AsyncGenerator<VariableData> {
  const variables = int8Variables(name, shape);
  const { codes, scales } = await coder.encodeRows(values, shape[0] as number);
  yield { name: variables.codes.name, data: codes };
  yield { name: variables.scales.name, data: scales };
}
