/** What a list says of a model, from its headers alone. */
import { readModelHeaders } from './open-model.ts';

export interface ModelDescription {
  readonly family?: string;
  readonly parameters: number;
  readonly weightBytes: number;
  /** Each once, sorted. */
  readonly dtypes: readonly string[];
}

/** @throws ModelFileError where the headers can't be read */
export async function describeModel(path: string): Promise<ModelDescription> {
  const { config, tensors } = await readModelHeaders(path);
  const all = [...tensors.values()];
  return {
    ...(typeof config.model_type === 'string' && { family: config.model_type }),
    parameters: parameterCount(all),
    weightBytes: all.reduce((sum, { byteLength }) => sum + byteLength, 0),
    dtypes: [...new Set(all.map(({ dtype, quantization }) => quantization ?? dtype))].sort(),
  };
}

function parameterCount(tensors: Iterable<{ readonly shape: readonly number[] }>): number {
  let count = 0;
  for (const { shape } of tensors) count += shape.reduce((a, b) => a * b, 1);
  return count;
}
