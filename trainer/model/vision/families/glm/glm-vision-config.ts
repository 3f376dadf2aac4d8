/** Reads what describes the vision tower of GLM-4V or GLM-OCR: `vision_config`, and the image processor. */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, multipleProblems, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { activation, epsilon, size } from '../../../family/common-keys.ts';
import type { TowerSizes } from '../../patches/tower-sizes.ts';
import { readTower } from '../../read-tower.ts';
import type { VisionFiles } from '../../vision-encoder.ts';
import { plainKeys, qwenProcessorKeys, qwenSizes } from '../qwen/qwen-vision-config.ts';

/** One tower. */
export interface GlmTower extends TowerSizes {
  readonly epsilon: number;
  /** True if queries, keys and values have biases, and if all other products of a block do. */
  readonly biased: { readonly qkv: boolean; readonly others: boolean };
  /** True if each head of queries and keys is normalized. */
  readonly normsHeads: boolean;
  /** The side of the square table of learned positions; undefined for towers that only rotate. */
  readonly tableSide: number | undefined;
  /** Width between the layers of the projector's MLP. */
  readonly mergerSize: number;
}

const sharedKeys = {
  ...plainKeys,
  depth: computed(size(256).default(24)),
  hidden_act: activation('silu'),
  patch_size: computed(size(256).default(14)),
  rms_norm_eps: epsilon(1e-5),
  ...withoutEffect('is of training, and the encoder is not trained', 'attention_dropout', 'hidden_dropout_prob'),
} as const satisfies KeyTable;

export const glm4vTowerKeys = {
  ...sharedKeys,
  hidden_size: computed(size(16384).default(1536)),
  num_heads: computed(size(256).default(12)),
  intermediate_size: computed(size(65536).default(13696)),
  out_hidden_size: computed(size(16384).default(4096)),
  attention_bias: computed(z.boolean().default(false)),
  image_size: computed(size(8192).default(336)),
} as const satisfies KeyTable;

export const glmOcrTowerKeys = {
  ...sharedKeys,
  hidden_size: computed(size(16384).default(1024)),
  num_heads: computed(size(256).default(16)),
  intermediate_size: computed(size(65536).default(4096)),
  out_hidden_size: computed(size(16384).default(1536)),
  attention_bias: computed(z.boolean().default(true)),
  ...withoutEffect('is of a table of positions, and this tower has none', 'image_size'),
} as const satisfies KeyTable;

const noValue: readonly unknown[] = [];

export const glmProcessorKeys: typeof qwenProcessorKeys = {
  ...qwenProcessorKeys,
  min_pixels: computed(size(2 ** 28).nullish(), noValue),
  max_pixels: computed(size(2 ** 28).nullish(), noValue),
  ...refusedUnless(
    [
      ...['Glm4vImageProcessor', 'Glm4vImageProcessorFast', 'Glm4vImageProcessorPil'],
      ...['Glm46VImageProcessor', 'Glm46VImageProcessorFast', 'Glm46VImageProcessorPil'],
    ],
    'image_processor_type',
  ),
};

type Sizes = ConfigValues<typeof plainKeys>;

/** Limits count the pixels of all frames, in which a still image is repeated. */
function sizesOf(architecture: string, files: VisionFiles, c: Sizes, problems: Parameters<typeof qwenSizes>[3]): TowerSizes {
  const size = { shortest_edge: 112 * 112, longest_edge: 28 * 28 * 15_000 };
  const { limits, ...sizes } = qwenSizes(architecture, files, c, problems, { processor: glmProcessorKeys, size });
  const { factor, minPixels, maxPixels } = limits;
  return { ...sizes, limits: { factor, minPixels: minPixels / sizes.frames, maxPixels: maxPixels / sizes.frames } };
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported, in either file */
export function glm4vTower(architecture: string, files: VisionFiles): GlmTower {
  const { values: c, problems } = readTower(glm4vTowerKeys, architecture, files.config);
  const table = multipleProblems('image_size', ['image_size', c.image_size], ['patch_size', c.patch_size]);
  const sizes = sizesOf(architecture, files, c, [...problems, ...table]);
  return {
    ...sizes,
    intermediateSize: c.out_hidden_size,
    epsilon: c.rms_norm_eps,
    biased: { qkv: c.attention_bias, others: false },
    normsHeads: false,
    tableSide: c.image_size / c.patch_size,
    mergerSize: c.intermediate_size,
  };
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported, in either file */
export function glmOcrTower(architecture: string, files: VisionFiles): GlmTower {
  const { values: c, problems } = readTower(glmOcrTowerKeys, architecture, files.config);
  return {
    ...sizesOf(architecture, files, c, problems),
    epsilon: c.rms_norm_eps,
    biased: { qkv: c.attention_bias, others: c.attention_bias },
    normsHeads: true,
    tableSide: undefined,
    // The number of channels of an image is part of the formula.
    mergerSize: 3 * c.out_hidden_size,
  };
}
