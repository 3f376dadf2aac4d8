/** Reads what describes the encoder of MiniCPM-V 4.6: `vision_config`, the keys of the mergers, and the processor of images and text. */

import { z } from 'zod';
import { type ConfigValues, computed, contradiction, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { miniCpmVImageKeys } from '../../../family/decoder/keys/image-text-keys.ts';
import { textPart } from '../../../family/decoder/text-part.ts';
import { eyeKeys, squareProblems } from '../../../family/image/siglip-config.ts';
import type { PreNormConfig } from '../../../family/pre-norm-block.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { patchBlock } from '../../patches/patch-block.ts';
import { pixelScale, processorKeys } from '../../processor-keys.ts';
import { readVisionFiles } from '../../read-tower.ts';
import type { PixelScale, VisionFiles } from '../../vision-encoder.ts';
import type { Slicing } from './minicpm-v-slices.ts';

export const MINICPM_V = 'MiniCPMV4_6ForConditionalGeneration';

/** Side of the square of neighboring patches that become a vector: windows of 2 × 2 are merged within the tower, and 2 × 2 of them after it. */
export const MERGED = 4;

/** The tower and its mergers. */
export interface MiniCpmVTower {
  readonly blocks: number;
  readonly block: PreNormConfig;
  /** The block after which windows of patches are merged. */
  readonly mergedAfter: number;
  /** Side of a patch in pixels. */
  readonly patch: number;
  /** The side of the square that the rows of the table of positions form. */
  readonly tableSide: number;
  /** Features of a vector, which are those of the language model. */
  readonly outputSize: number;
  readonly slicing: Slicing;
  /** True if the text gives images numbers. */
  readonly hasNumbers: boolean;
  readonly scale: PixelScale;
}

export const miniCpmVTowerKeys = {
  ...eyeKeys({ patch: 16, hidden: 768, heads: 12 }),
  window_kernel_size: computed(z.tuple([z.literal(2), z.literal(2)]).default([2, 2])),
  ...withoutEffect('is read from the whole config', 'insert_layer_id'),
  ...withoutEffect('is of a pooling that the language model does without', 'vision_use_head'),
} as const satisfies KeyTable;

const size = (most: number, usual: number) => computed(z.number().int().positive().max(most).default(usual));

export const miniCpmVProcessorKeys = {
  ...processorKeys({ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], resample: 3 }),
  max_slice_nums: size(64, 9),
  scale_resolution: size(4096, 448),
  patch_size: size(256, 14),
  slice_mode: computed(z.boolean().default(true)),
  use_image_id: computed(z.boolean().nullish().default(true)),
  ...refusedUnless(['16x'], 'downsample_mode'),
  ...refusedUnless(['MiniCPMV4_6ImageProcessor', 'MiniCPMV4_6ImageProcessorFast', 'MiniCPMV4_6ImageProcessorPil'], 'image_processor_type'),
  ...withoutEffect('is ignored: sizes follow from scale_resolution', 'size'),
} as const satisfies KeyTable;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported, in either file */
export function miniCpmVTower(files: VisionFiles): MiniCpmVTower {
  const tables = { architecture: MINICPM_V, whole: miniCpmVImageKeys, tower: miniCpmVTowerKeys, processor: miniCpmVProcessorKeys };
  const { whole, eyes, seen, refuseWith } = readVisionFiles(tables, files);
  const { insert_layer_id: mergedAfter } = whole;
  const { num_hidden_layers: blocks } = eyes;
  const [patch] = eyes.patch_size;
  const late = `insert_layer_id ${mergedAfter} is no block: vision_config has num_hidden_layers ${blocks}`;
  const own = mergedAfter < blocks ? [] : [contradiction('insert_layer_id', late)];
  refuseWith([...squareProblems(eyes), ...own], processorProblems(seen, patch));
  return {
    ...{ blocks, mergedAfter, patch },
    block: patchBlock({
      ...{ hiddenSize: eyes.hidden_size, intermediateSize: eyes.intermediate_size, heads: eyes.num_attention_heads },
      ...{ activation: eyes.hidden_act, epsilon: eyes.layer_norm_eps },
    }),
    tableSide: Math.floor(eyes.image_size[0] / patch),
    outputSize: textPart(MINICPM_V, files.config).hiddenSize,
    slicing: { factor: patch * MERGED, side: seen.scale_resolution, most: seen.slice_mode ? seen.max_slice_nums : 1 },
    hasNumbers: seen.use_image_id ?? false,
    scale: pixelScale(seen),
  };
}

function processorProblems({ patch_size: patch }: ConfigValues<typeof miniCpmVProcessorKeys>, wanted: number): ConfigProblem[] {
  const other = `patch_size is ${patch}, and that in vision_config of config.json is ${wanted}`;
  return patch === wanted ? [] : [contradiction('patch_size', other)];
}
