/** Reads what describes the encoder of LFM3-VL: `vision_config`, the projector's keys, and the processor of images, which is Qwen2-VL's. */

import { z } from 'zod';
import {
  computed,
  contradiction,
  type KeyTable,
  multipleProblems,
  readConfig,
  refusedUnless,
  withoutEffect,
} from '../../../config-keys.ts';
import { commonKeys, epsilon, size } from '../../../family/common-keys.ts';
import { lfm3VlImageKeys } from '../../../family/decoder/keys/image-text-keys.ts';
import { textPart } from '../../../family/decoder/text-part.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import type { TowerSizes } from '../../patches/tower-sizes.ts';
import { readTower } from '../../read-tower.ts';
import type { VisionFiles } from '../../vision-encoder.ts';
import { qwenSizes } from '../qwen/qwen-vision-config.ts';

export const LFM3_VL = 'Lfm3VlForConditionalGeneration';

/** The tower and its projector. */
export interface Lfm3VlTower extends TowerSizes {
  readonly kvHeads: number;
  /** True for blocks with a convolution in place of attention. */
  readonly convolves: readonly boolean[];
  /** The side of the square of patches that a convolution reads, an odd number. */
  readonly kernel: number;
  readonly epsilon: number;
  readonly projector: { readonly activation: string; readonly innerSize: number; readonly isBiased: boolean };
}

export const lfm3VlTowerKeys = {
  ...commonKeys,
  hidden_size: computed(size(16384).default(1024)),
  intermediate_size: computed(size(65536).default(2560)),
  num_hidden_layers: computed(size(256).default(14)),
  num_attention_heads: computed(size(256).default(16)),
  num_key_value_heads: computed(size(256).default(8)),
  layer_types: computed(
    z
      .array(z.enum(['conv', 'full_attention']))
      .max(256)
      .nullish(),
  ),
  conv_kernel_size: computed(size(31).default(3)),
  norm_eps: epsilon(1e-5),
  patch_size: computed(size(256).default(16)),
  temporal_patch_size: computed(size(16).default(2)),
  spatial_merge_size: computed(size(16).default(2)),
  rope_parameters: computed(
    z.looseObject({ rope_theta: z.number().positive().default(1e6), rope_type: z.literal('axial').default('axial') }).nullish(),
  ),
  head_dim: { class: 'refused', unless: c => [Number(c.hidden_size ?? 1024) / Number(c.num_attention_heads ?? 16)] },
  ...refusedUnless([3], 'in_channels'),
  ...refusedUnless([1e6], 'rope_theta'),
  ...withoutEffect('is for new layers, which a file always has', 'initializer_range'),
} as const satisfies KeyTable;

/** The default type of a block: the first two, and every other one after them, have a convolution. */
const usuallyConvolves = (layer: number): boolean => layer < 2 || layer % 2 === 1;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported, in either file */
export function lfm3VlTower(files: VisionFiles): Lfm3VlTower {
  const { values: whole, problems } = readConfig(lfm3VlImageKeys, LFM3_VL, files.config);
  const { values: eyes, problems: ofEyes } = readTower(lfm3VlTowerKeys, LFM3_VL, files.config);
  const { num_hidden_layers: blocks, num_attention_heads: heads, num_key_value_heads: kvHeads, conv_kernel_size: kernel } = eyes;
  const types = eyes.layer_types?.map(type => type === 'conv');
  const convolves = types ?? Array.from({ length: blocks }, (_, layer) => usuallyConvolves(layer));
  const even = `conv_kernel_size ${kernel} is even: a convolution needs a patch in its middle`;
  const own: ConfigProblem[] = [
    ...multipleProblems('num_attention_heads', ['num_attention_heads', heads], ['num_key_value_heads', kvHeads]),
    ...(kernel % 2 ? [] : [contradiction('conv_kernel_size', even)]),
    ...(convolves.length === blocks
      ? []
      : [contradiction('layer_types', `layer_types has ${convolves.length} entries for num_hidden_layers ${blocks}`)]),
  ];
  const named = {
    ...eyes,
    ...{ depth: blocks, num_heads: heads, hidden_act: 'silu', out_hidden_size: textPart(LFM3_VL, files.config).hiddenSize },
    rope_parameters: eyes.rope_parameters ?? { rope_theta: 1e6, rope_type: 'axial' as const },
  };
  const keys = { width: 'hidden_size', heads: 'num_attention_heads' };
  return {
    ...qwenSizes(LFM3_VL, files, named, [...problems, ...ofEyes, ...own], keys),
    ...{ kvHeads, convolves, kernel, epsilon: eyes.norm_eps },
    projector: { activation: whole.projector_hidden_act, innerSize: whole.projector_hidden_size, isBiased: whole.projector_bias },
  };
}
