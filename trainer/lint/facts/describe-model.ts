/** Describes a model for a list, from its headers alone. */

import { readModelHeaders } from '../../hub/open-model.ts';
import type { ConfigJson } from '../../model/config-json.ts';
import { loadModel } from '../../model/load-model.ts';

export interface ModelDescription {
  readonly family?: string;
  readonly parameters: number;
  /** Whether it generates text; false for classifiers and unsupported models. */
  readonly writesText: boolean;
  readonly weightBytes: number;
  /** The distinct dtypes, sorted. */
  readonly dtypes: readonly string[];
}

/** @throws ModelFileError if the headers cannot be read */
export async function describeModel(path: string): Promise<ModelDescription> {
  const { config, tensors } = await readModelHeaders(path);
  const all = [...tensors.values()];
  return {
    ...(typeof config.model_type === 'string' && { family: config.model_type }),
    parameters: parameterCount(all),
    writesText: writesText(config),
    weightBytes: all.reduce((sum, { byteLength }) => sum + byteLength, 0),
    dtypes: [...new Set(all.map(({ dtype, quantization }) => quantization ?? dtype))].sort(),
  };
}

function writesText(config: ConfigJson): boolean {
  try {
    return loadModel(config).kind === 'causal';
  } catch {
    return false;
  }
}

function parameterCount(tensors: Iterable<{ readonly shape: readonly number[] }>): number {
  let count = 0;
  for (const { shape } of tensors) count += shape.reduce((a, b) => a * b, 1);
  return count;
}
