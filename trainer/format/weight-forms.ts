/** The forms in which a model's folder may hold its weights, in the order in which they are looked for. */
import { INDEX_FILE, SAFETENSORS, SINGLE_FILE } from './safetensors/safetensors-source.ts';
import { TORCH, TORCH_FILE, TORCH_INDEX_FILE } from './torch/torch-source.ts';
import type { WeightFormat } from './weight-files.ts';

export interface WeightForm {
  readonly kind: 'safetensors' | 'torch';
  /** All weights in one file. */
  readonly single: string;
  /** Which of the shards holds which tensor. */
  readonly index: string;
  readonly shard: RegExp;
  readonly format: WeightFormat;
}

export const WEIGHT_FORMS: readonly WeightForm[] = [
  { kind: 'safetensors', single: SINGLE_FILE, index: INDEX_FILE, shard: /^model-\d+-of-\d+\.safetensors$/, format: SAFETENSORS },
  { kind: 'torch', single: TORCH_FILE, index: TORCH_INDEX_FILE, shard: /^pytorch_model-\d+-of-\d+\.bin$/, format: TORCH },
];

/** The names of the files with which reading begins. */
export const WEIGHT_FILES: readonly string[] = WEIGHT_FORMS.flatMap(({ single, index }) => [single, index]);

/** By what the name of a file, or of an index, ends in. */
export const formOf = (path: string): WeightForm | undefined =>
  WEIGHT_FORMS.find(({ format: { extension } }) => path.endsWith(extension) || path.endsWith(`${extension}.index.json`));
