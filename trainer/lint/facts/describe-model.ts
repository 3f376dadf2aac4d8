/** Describes a model for a list, from its headers alone. */

import { readModelHeaders } from '../../hub/open-model.ts';
import type { ConfigJson } from '../../model/config-json.ts';
import { loadModel } from '../../model/load-model.ts';
import { classifiesTexts, isCausal, labelsWords } from '../../model/model-spec.ts';
import { hasNewHead } from './judge-facts.ts';
import { templateFact } from './template-fact.ts';

export interface ModelDescription {
  readonly family?: string;
  readonly parameters: number;
  /** Whether it answers a text, by a text or by labels; false for other and for unsupported models. */
  readonly answersText: boolean;
  /** Whether it reads images next to its text. */
  readonly readsImages: boolean;
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
    answersText: answersText(config),
    readsImages: (await templateFact(path))?.images !== undefined,
    weightBytes: all.reduce((sum, { byteLength }) => sum + byteLength, 0),
    dtypes: [...new Set(all.map(({ dtype, quantization }) => quantization ?? dtype))].sort(),
  };
}

function answersText(config: ConfigJson): boolean {
  try {
    const model = loadModel(config);
    return isCausal(model) || ((labelsWords(model) || classifiesTexts(model)) && !hasNewHead(model));
  } catch {
    return false;
  }
}

function parameterCount(tensors: Iterable<{ readonly shape: readonly number[] }>): number {
  let count = 0;
  for (const { shape } of tensors) count += shape.reduce((a, b) => a * b, 1);
  return count;
}
