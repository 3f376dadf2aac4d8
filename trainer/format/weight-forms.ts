/** The formats that a model's folder may store its weights in, in the order of preference. */
import { INDEX_FILE, SAFETENSORS, SINGLE_FILE } from './safetensors/safetensors-source.ts';
import { TORCH, TORCH_FILE, TORCH_INDEX_FILE } from './torch/torch-source.ts';
import type { WeightFormat } from './weight-files.ts';

export interface WeightForm {
  readonly kind: 'safetensors' | 'torch';
  /** Name of a single file with all weights. */
  readonly single: string;
  /** Name of the index, which lists the shard of each tensor. */
  readonly index: string;
  readonly shard: RegExp;
  readonly format: WeightFormat;
}

export const WEIGHT_FORMS: readonly WeightForm[] = [
  { kind: 'safetensors', single: SINGLE_FILE, index: INDEX_FILE, shard: /^model-\d+-of-\d+\.safetensors$/, format: SAFETENSORS },
  { kind: 'torch', single: TORCH_FILE, index: TORCH_INDEX_FILE, shard: /^pytorch_model-\d+-of-\d+\.bin$/, format: TORCH },
];

/** The names of the files that reading starts with. */
export const WEIGHT_FILES: readonly string[] = WEIGHT_FORMS.flatMap(({ single, index }) => [single, index]);

/** Returns the format of a file or an index by the ending of its name. */
export const formOf = (path: string): WeightForm | undefined =>
  WEIGHT_FORMS.find(({ format: { extension } }) => path.endsWith(extension) || path.endsWith(`${extension}.index.json`));
