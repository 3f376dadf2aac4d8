/** Reads what describes the encoder of InternVL: `vision_config`, the keys of the projector, and the processor of images and text. */

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
import { activation, commonKeys, epsilon, imageKeys, size } from '../../../family/common-keys.ts';
import { internVlImageKeys } from '../../../family/decoder/keys/image-text-keys.ts';
import { textPart } from '../../../family/decoder/text-part.ts';
import { squareProblems } from '../../../family/image/siglip-config.ts';
import { gridOf, type TowerConfig } from '../../../family/image/tower.ts';
import { tablePositions, vitSizes } from '../../../family/image/vit-config.ts';
import { internVlTowerNames } from '../../../family/image/vit-names.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { CLIP, pixelScale, processorKeys } from '../../processor-keys.ts';
import { readVisionFiles } from '../../read-tower.ts';
import type { TileCounts } from '../../tile-grid.ts';
import type { PixelScale, VisionFiles } from '../../vision-encoder.ts';

export const INTERN_VL = 'InternVLForConditionalGeneration';

/** The tower, its projector, and how images are divided. */
export interface InternVlEyes {
  readonly tower: TowerConfig;
  /** True if a norm follows the last block. */
  readonly isNormed: boolean;
  /** Sides of the images that the table of positions is made for, and of a patch, in pixels. */
  readonly imageSize: number;
  readonly patch: number;
  /** Number of neighboring rows, and columns, of patches that are joined to one vector. */
  readonly joined: number;
  /** Side of a tile in pixels, and the number of its vectors. */
  readonly tile: number;
  readonly vectors: number;
  readonly counts: TileCounts;
  /** The activation of the projector, and the features of the language model. */
  readonly activation: string;
  readonly outputSize: number;
  readonly scale: PixelScale;
}

export const internVlTowerKeys = {
  ...commonKeys,
  ...imageKeys(14, 448),
  num_channels: computed(size(3).default(3), [3]),
  hidden_size: computed(size(16384).default(1024)),
  intermediate_size: computed(size(65536).default(4096)),
  num_hidden_layers: computed(size(256).default(24)),
  num_attention_heads: computed(size(256).default(16)),
  hidden_act: activation('gelu'),
  layer_norm_eps: epsilon(1e-6),
  attention_bias: computed(z.boolean().default(false)),
  use_mean_pooling: computed(z.boolean().default(true)),
  norm_type: computed(z.enum(['layer_norm', 'rms_norm']).default('layer_norm')),
  use_qk_norm: computed(z.boolean().default(false)),
  ...refusedUnless([true], 'use_absolute_position_embeddings'),
  ...withoutEffect('is of training, and the encoder is not trained', 'attention_dropout', 'hidden_dropout_prob', 'projection_dropout'),
  ...withoutEffect('is for new layers, which a file always has', 'initializer_range', 'initializer_factor', 'layer_scale_init_value'),
  ...withoutEffect('is of a token that stands for hidden patches, in pretraining alone', 'use_mask_token'),
  ...withoutEffect('is not read by Transformers', 'dropout'),
} as const satisfies KeyTable;

const count = size(64);

export const internVlProcessorKeys = {
  ...processorKeys({ ...CLIP, resample: 3 }),
  size: computed(z.object({ height: size(8192), width: size(8192) }).default({ height: 384, width: 384 })),
  min_patches: computed(count.default(1)),
  max_patches: computed(count.default(12)),
  image_seq_length: computed(size(65536).default(256)),
  ...refusedUnless(['GotOcr2ImageProcessor', 'GotOcr2ImageProcessorFast', 'GotOcr2ImageProcessorPil'], 'image_processor_type'),
  ...withoutEffect('is ignored: the processor of images and text always divides images', 'crop_to_patches'),
} as const satisfies KeyTable;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported, in either file */
export function internVlEyes(files: VisionFiles): InternVlEyes {
  const tables = { architecture: INTERN_VL, whole: internVlImageKeys, tower: internVlTowerKeys, processor: internVlProcessorKeys };
  const { whole, eyes, seen, refuseWith } = readVisionFiles(tables, files);
  const joined = Math.round(1 / whole.downsample_ratio);
  const { height: tile, width } = seen.size;
  const oblong = tile === width ? [] : [contradiction('size', `size ${width} × ${tile} is not square`)];
  const patches = Math.floor(tile / eyes.patch_size[0]);
  const vectors = (patches / joined) ** 2;
  refuseWith([...squareProblems(eyes), ...joinProblems(whole.downsample_ratio, patches)], [...oblong, ...countProblems(seen, vectors)]);
  return {
    tower: towerConfig(eyes, tile),
    isNormed: !eyes.use_mean_pooling,
    imageSize: eyes.image_size[0],
    patch: eyes.patch_size[0],
    joined,
    tile,
    vectors,
    counts: { least: seen.min_patches, most: seen.max_patches },
    activation: whole.projector_hidden_act,
    outputSize: textPart(INTERN_VL, files.config).hiddenSize,
    scale: pixelScale(seen),
  };
}

/** The epsilon of the norms of queries and keys. */
const INNER_EPSILON = 1e-6;

function towerConfig(c: ConfigValues<typeof internVlTowerKeys>, tile: number): TowerConfig {
  const { attention_bias: isBiased, hidden_size: hiddenSize } = c;
  return {
    names: internVlTowerNames('model.vision_tower.'),
    tokens: [1],
    positions: tablePositions({ grid: gridOf(c.image_size, c.patch_size), firsts: 1, hiddenSize }),
    image: [tile, tile],
    ...vitSizes(c),
    intermediateSize: c.intermediate_size,
    biased: { q: isBiased, k: isBiased, v: isBiased, o: true, mlp: true },
    isScaled: true,
    ...(c.norm_type === 'rms_norm' && { hasRmsNorms: true }),
    ...(c.use_qk_norm && { innerEpsilon: INNER_EPSILON }),
    activation: c.hidden_act,
    dropout: 0,
    embeddingDropout: 0,
    attentionDropout: 0,
    pathDropout: { attention: 0, mlp: 0 },
  };
}

function joinProblems(ratio: number, patches: number): ConfigProblem[] {
  const joined = Math.round(1 / ratio);
  if (joined * ratio !== 1) return [contradiction('downsample_ratio', `downsample_ratio ${ratio} is not one divided by an integer`)];
  return patches === 0
    ? [contradiction('patch_size', 'patch_size is greater than the tiles of preprocessor_config.json')]
    : multipleProblems('downsample_ratio', ['the number of patches along a tile', patches], ['1 / downsample_ratio', joined]);
}

function countProblems(c: ConfigValues<typeof internVlProcessorKeys>, vectors: number): ConfigProblem[] {
  const { min_patches: least, max_patches: most, image_seq_length: written } = c;
  return [
    ...(least > most ? [contradiction('min_patches', `min_patches ${least} is greater than max_patches ${most}`)] : []),
    ...(written === vectors
      ? []
      : [contradiction('image_seq_length', `image_seq_length is ${written}, and a tile has ${vectors} vectors`)]),
  ];
}
