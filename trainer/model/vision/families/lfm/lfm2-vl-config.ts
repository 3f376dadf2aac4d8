/** Reads what describes the encoder of LFM2-VL: `vision_config`, the projector's keys, and the processor of images and text. */

import { z } from 'zod';
import {
  type ConfigValues,
  computed,
  contradiction,
  type KeyTable,
  multipleProblems,
  refusedUnless,
  withoutEffect,
} from '../../../config-keys.ts';
import { activation, commonKeys, epsilon, size } from '../../../family/common-keys.ts';
import { lfm2VlImageKeys } from '../../../family/decoder/keys/image-text-keys.ts';
import { textPart } from '../../../family/decoder/text-part.ts';
import type { PreNormConfig } from '../../../family/pre-norm-block.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { patchBlock } from '../../patches/patch-block.ts';
import type { PatchSizes } from '../../patches/patch-feeds.ts';
import { pixelScale, processorKeys } from '../../processor-keys.ts';
import { readVisionFiles } from '../../read-tower.ts';
import type { PixelScale, VisionFiles } from '../../vision-encoder.ts';
import type { Tiling } from './lfm2-vl-tiles.ts';

export const LFM2_VL = 'Lfm2VlForConditionalGeneration';

/** The tower and its projector. */
export interface Lfm2VlTower extends PatchSizes {
  readonly blocks: number;
  readonly block: PreNormConfig;
  /** Number of rows of the table of positions, and the side of the square that they form. */
  readonly tableRows: number;
  readonly tableSide: number;
  readonly projector: {
    readonly activation: string;
    readonly innerSize: number;
    readonly isBiased: boolean;
    readonly isNormed: boolean;
    /** Features of a vector, which are those of the language model. */
    readonly outputSize: number;
  };
  readonly tiling: Tiling;
  readonly scale: PixelScale;
}

export const lfm2VlTowerKeys = {
  ...commonKeys,
  hidden_size: computed(size(16384).default(768)),
  intermediate_size: computed(size(65536).default(3072)),
  num_hidden_layers: computed(size(256).default(12)),
  num_attention_heads: computed(size(256).default(12)),
  hidden_act: activation('gelu_pytorch_tanh'),
  layer_norm_eps: epsilon(1e-6),
  patch_size: computed(size(256).default(16)),
  num_patches: computed(size(2 ** 20).default(256)),
  ...refusedUnless([3], 'num_channels'),
  ...withoutEffect('is of training, and the encoder is not trained', 'attention_dropout'),
  ...withoutEffect('is for new layers, which a file always has', 'initializer_range'),
  ...withoutEffect('is of a pooling that the language model does without', 'vision_use_head'),
  ...withoutEffect('is of towers for images of one size', 'image_size'),
} as const satisfies KeyTable;

const tiles = size(64);

export const lfm2VlProcessorKeys = {
  ...processorKeys({ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], resample: 2 }),
  downsample_factor: computed(size(64).default(2)),
  do_image_splitting: computed(z.boolean().default(true)),
  min_tiles: computed(tiles.default(2), [1, 2]),
  max_tiles: computed(tiles.default(10)),
  use_thumbnail: computed(z.boolean().default(true)),
  min_image_tokens: computed(size(65536).default(64)),
  max_image_tokens: computed(size(65536).default(256)),
  encoder_patch_size: computed(size(256).default(16)),
  tile_size: computed(size(8192).default(512)),
  max_pixels_tolerance: computed(z.number().positive().max(65536).default(2)),
  use_image_special_tokens: computed(z.boolean().default(true)),
  ...refusedUnless([true], 'do_pad'),
  ...refusedUnless(['Lfm2VlImageProcessor', 'Lfm2VlImageProcessorFast'], 'image_processor_type'),
  ...withoutEffect('is ignored: images are always resized', 'do_resize', 'size'),
  ...withoutEffect('follows from the other numbers of patches', 'max_num_patches'),
  ...withoutEffect('says what the texts around images say, which follows from the sizes', 'return_row_col_info'),
} as const satisfies KeyTable;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported, in either file */
export function lfm2VlTower(files: VisionFiles): Lfm2VlTower {
  const tables = { architecture: LFM2_VL, whole: lfm2VlImageKeys, tower: lfm2VlTowerKeys, processor: lfm2VlProcessorKeys };
  const { whole, eyes, seen, refuseWith } = readVisionFiles(tables, files);
  const heads = multipleProblems('hidden_size', ['hidden_size', eyes.hidden_size], ['num_attention_heads', eyes.num_attention_heads]);
  const sizes = sizeProblems(seen, eyes.patch_size, whole.downsample_factor);
  refuseWith([...heads, ...tableProblems(eyes.num_patches)], [...tileProblems(seen), ...sizes]);
  return {
    blocks: eyes.num_hidden_layers,
    block: patchBlock({
      ...{ hiddenSize: eyes.hidden_size, intermediateSize: eyes.intermediate_size, heads: eyes.num_attention_heads },
      ...{ activation: eyes.hidden_act, epsilon: eyes.layer_norm_eps },
    }),
    tableRows: eyes.num_patches,
    tableSide: Math.sqrt(eyes.num_patches),
    patch: eyes.patch_size,
    merged: whole.downsample_factor,
    projector: {
      activation: whole.projector_hidden_act,
      innerSize: whole.projector_hidden_size,
      isBiased: whole.projector_bias,
      isNormed: whole.projector_use_layernorm,
      outputSize: textPart(LFM2_VL, files.config).hiddenSize,
    },
    tiling: tilingOf(seen),
    scale: pixelScale(seen),
  };
}

type ProcessorValues = ConfigValues<typeof lfm2VlProcessorKeys>;

function tilingOf(c: ProcessorValues): Tiling {
  const factor = c.encoder_patch_size * c.downsample_factor;
  const maxPixels = c.max_image_tokens * factor ** 2;
  return {
    patch: c.encoder_patch_size,
    limits: { factor, minPixels: c.min_image_tokens * factor ** 2, maxPixels },
    tolerated: maxPixels * c.max_pixels_tolerance,
    tile: c.tile_size,
    counts: c.do_image_splitting && c.max_tiles > 1 ? { least: c.min_tiles, most: c.max_tiles } : undefined,
    hasThumbnail: c.use_thumbnail,
    hasMarks: c.use_image_special_tokens,
  };
}

const tableProblems = (rows: number): ConfigProblem[] =>
  Number.isInteger(Math.sqrt(rows)) ? [] : [contradiction('num_patches', `num_patches ${rows} positions do not form a square`)];

function tileProblems(c: ProcessorValues): ConfigProblem[] {
  const factor = c.encoder_patch_size * c.downsample_factor;
  const { min_tiles: least, max_tiles: most, min_image_tokens: few, max_image_tokens: many } = c;
  if (few > many) return [contradiction('min_image_tokens', `min_image_tokens ${few} is greater than max_image_tokens ${many}`)];
  if (!c.do_image_splitting) return [];
  const single = `min_tiles 1 with max_tiles ${most} is not supported: Transformers counts the tokens of a single tile wrongly`;
  return [
    ...multipleProblems('tile_size', ['tile_size', c.tile_size], ['encoder_patch_size · downsample_factor', factor]),
    ...(least > most ? [contradiction('min_tiles', `min_tiles ${least} is greater than max_tiles ${most}`)] : []),
    ...(least === 1 && most > 1 ? [contradiction('min_tiles', single)] : []),
  ];
}

/** Returns a problem for each size in which the processor and the model differ. */
function sizeProblems(c: ProcessorValues, patch: number, merged: number): ConfigProblem[] {
  const pairs = [
    ['encoder_patch_size', c.encoder_patch_size, 'patch_size in vision_config', patch],
    ['downsample_factor', c.downsample_factor, 'downsample_factor', merged],
  ] as const;
  return pairs.flatMap(([key, value, other, wanted]) =>
    value === wanted ? [] : [contradiction(key, `${key} is ${value}, and ${other} of config.json is ${wanted}`)],
  );
}
