/** Reads what describes the encoder of PaddleOCR-VL: `vision_config`, and the image processor, which is like Qwen2-VL's. */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { activation, commonKeys, epsilon, size } from '../../../family/common-keys.ts';
import { textPart } from '../../../family/decoder/text-part.ts';
import type { TowerSizes } from '../../patches/tower-sizes.ts';
import { readTower } from '../../read-tower.ts';
import type { VisionFiles } from '../../vision-encoder.ts';
import { qwenProcessorKeys, qwenSizes } from '../qwen/qwen-vision-config.ts';

export const PADDLE_OCR = 'PaddleOCRVLForConditionalGeneration';

/** The tower. */
export interface PaddleOcrTower extends TowerSizes {
  readonly epsilon: number;
  /** The side of the square table of learned positions. */
  readonly tableSide: number;
}

export const paddleOcrTowerKeys = {
  ...commonKeys,
  hidden_size: computed(size(16384).default(1152)),
  intermediate_size: computed(size(65536).default(4304)),
  num_hidden_layers: computed(size(256).default(27)),
  num_attention_heads: computed(size(256).default(16)),
  hidden_act: activation('gelu_pytorch_tanh'),
  layer_norm_eps: epsilon(1e-6),
  image_size: computed(size(8192).default(384)),
  patch_size: computed(size(256).default(14)),
  spatial_merge_size: computed(size(16).default(2)),
  rope_parameters: computed(
    z.looseObject({ rope_theta: z.number().positive().default(10_000), rope_type: z.literal('axial').default('axial') }).nullish(),
  ),
  head_dim: { class: 'refused', unless: c => [Number(c.hidden_size ?? 1152) / Number(c.num_attention_heads ?? 16)] },
  ...refusedUnless([3], 'num_channels'),
  ...refusedUnless([10_000], 'rope_theta'),
  ...withoutEffect('is of training, and the encoder is not trained', 'attention_dropout'),
  ...withoutEffect('is for new layers, which a file always has', 'initializer_range'),
  ...withoutEffect('is not read by Transformers', 'pad_token_id', 'temporal_patch_size', 'tokens_per_second'),
} as const satisfies KeyTable;

export const paddleOcrProcessorKeys: typeof qwenProcessorKeys = {
  ...qwenProcessorKeys,
  temporal_patch_size: computed(size(16).default(1)),
  ...refusedUnless(['PaddleOCRVLImageProcessor', 'PaddleOCRVLImageProcessorFast', 'PaddleOCRVLImageProcessorPil'], 'image_processor_type'),
};

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported, in either file */
export function paddleOcrTower(files: VisionFiles): PaddleOcrTower {
  const { values: eyes, problems } = readTower(paddleOcrTowerKeys, PADDLE_OCR, files.config);
  const named = {
    ...eyes,
    ...{ depth: eyes.num_hidden_layers, num_heads: eyes.num_attention_heads, temporal_patch_size: 1 },
    out_hidden_size: textPart(PADDLE_OCR, files.config).hiddenSize,
    rope_parameters: eyes.rope_parameters ?? { rope_theta: 10_000, rope_type: 'axial' as const },
  };
  const own = {
    ...{ heads: 'num_attention_heads', processor: paddleOcrProcessorKeys },
    size: { shortest_edge: 384 * 384, longest_edge: 1536 * 1536 },
  };
  return {
    ...qwenSizes(PADDLE_OCR, files, named, problems, own),
    ...{ epsilon: eyes.layer_norm_eps, tableSide: Math.floor(eyes.image_size / eyes.patch_size) },
  };
}
