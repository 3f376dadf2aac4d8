/** The image processor of Gemma 4: any ratio of the sides, resized so that the image takes about as many tokens as the processor allows. */

import { z } from 'zod';
import type { HostArray } from '../../../../graph/types.ts';
import {
  type ConfigReading,
  computed,
  contradiction,
  type KeyTable,
  readConfig,
  refusedUnless,
  withoutEffect,
} from '../../../config-keys.ts';
import { size } from '../../../family/common-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { placesOf } from '../../patches/patch-feeds.ts';
import { PROCESSOR_FILE, pixelScale, processorKeys } from '../../processor-keys.ts';
import type { ImageLayout, ImageSize, PixelScale, ViewPixels, VisionFiles } from '../../vision-encoder.ts';

const [START, IMAGE, END] = ['<|image>', '<|image|>', '<image|>'];

/** The text by which the chat template marks the place of an image. */
export const GEMMA4_IMAGE = IMAGE;

/** The numbers of tokens that an image may take at most. */
const BUDGETS = [70, 140, 280, 560, 1120] as const;

export const gemma4ProcessorKeys = {
  ...processorKeys({ mean: [0, 0, 0], std: [1, 1, 1], resample: 3 }),
  do_normalize: computed(z.boolean().default(false)),
  patch_size: computed(size(256).default(16)),
  pooling_kernel_size: computed(size(16).default(3)),
  max_soft_tokens: computed(z.literal(BUDGETS).default(280)),
  ...refusedUnless(
    ['Gemma4ImageProcessor', 'Gemma4ImageProcessorFast', 'Gemma4ImageProcessorPil', 'Gemma4UnifiedImageProcessor'],
    'image_processor_type',
  ),
  ...withoutEffect('follows from patch_size and pooling_kernel_size', 'model_patch_size'),
  ...withoutEffect('is not read by Transformers: max_soft_tokens and the size of an image count', 'image_seq_length', 'size'),
  ...withoutEffect('is of processors that crop', 'default_to_square'),
  ...withoutEffect('is of sounds, which are not read', 'feature_extractor', 'audio_seq_length', 'audio_ms_per_token'),
  ...withoutEffect('is of videos, which are not read', 'video_processor'),
} as const satisfies KeyTable;

/** How the images of one model are cut into patches. */
export interface Gemma4Grid {
  /** Side of a patch, in pixels, and of the square of patches that become one vector. */
  readonly patch: number;
  readonly pooled: number;
  /** The most vectors of an image. */
  readonly budget: number;
  readonly scale: PixelScale;
}

/** The values of `vision_config` that the processor repeats. */
interface TowerSizes {
  readonly patch_size: number;
  readonly pooling_kernel_size: number;
}

/**
 * Reads the settings of the processor.
 * @param attended the most tokens of an image that attend to each other; undefined if they do not
 */
export function gemma4Grid(architecture: string, { processor }: VisionFiles, tower: TowerSizes, attended: number | undefined) {
  const { values: c, problems }: ConfigReading<typeof gemma4ProcessorKeys> = readConfig(
    gemma4ProcessorKeys,
    `${architecture}'s image processor`,
    processor,
    PROCESSOR_FILE,
  );
  const others = (['patch_size', 'pooling_kernel_size'] as const).flatMap(key =>
    c[key] === tower[key] ? [] : [contradiction(key, `${key} is ${c[key]}, and in vision_config of config.json ${tower[key]}`)],
  );
  const tooMany = `max_soft_tokens is ${c.max_soft_tokens}: set vision_soft_tokens_per_image in config.json, now ${attended}, to as many`;
  const unread = attended !== undefined && c.max_soft_tokens > attended ? [contradiction('max_soft_tokens', tooMany)] : [];
  const { mean, std, ...scale } = pixelScale(c);
  const grid: Gemma4Grid = {
    patch: tower.patch_size,
    pooled: tower.pooling_kernel_size,
    budget: c.max_soft_tokens,
    scale: { ...scale, mean: c.do_normalize ? mean : [0, 0, 0], std: c.do_normalize ? std : [1, 1, 1] },
  };
  return { grid, problems: [...problems, ...others, ...unread] };
}

/** Returns a problem if a table of positions is shorter than the longest side of an image may be. */
export const tableProblems = (key: string, rows: number, needed: number): ConfigProblem[] =>
  rows >= needed ? [] : [contradiction(key, `${key} ${rows} is less than the ${needed} places that a side of an image may have`)];

/**
 * The largest size with the image's ratio of sides whose vectors fit into the budget (Transformers' `get_aspect_ratio_preserving_size`).
 * @param maxPixels raised to the pixels of the next budget
 */
export function gemma4Layout({ patch, pooled, budget }: Gemma4Grid, { width, height }: ImageSize, maxPixels?: number): ImageLayout {
  const cell = patch * pooled;
  const wanted = maxPixels === undefined ? budget : (BUDGETS.find(each => each * cell ** 2 >= maxPixels) ?? budget);
  const most = Math.min(budget, wanted);
  const factor = Math.sqrt((most * cell ** 2) / (height * width));
  const cells = (side: number): number => Math.floor((factor * side) / cell);
  const along = (long: number, short: number): number => Math.min(Math.floor(long / short), most);
  const [rows, columns] = [cells(height), cells(width)];
  const grid = rows === 0 ? [1, along(width, height)] : columns === 0 ? [along(height, width), 1] : [rows, columns];
  const [down = 1, across = 1] = grid;
  const vectors = down * across;
  return {
    text: START + IMAGE.repeat(vectors) + END,
    views: [{ resizes: [{ width: across * cell, height: down * cell }], vectors }],
  };
}

/**
 * The feeds of one image, padded to `count` patches, of which those of a vector follow each other:
 * - patches [count, patch² · 3]: the values of each, by row, column and channel
 * - at int32 [2, count]: its row and column
 * - seen [1, count]: 1 for patches, 0 for padding
 * @param merged side of the square of patches that become one vector
 */
export function gemma4Feeds(pixels: ViewPixels, { patch, merged, count }: { patch: number; merged: number; count: number }) {
  const [rows, columns] = [pixels.height / patch, pixels.width / patch];
  const wide = 3 * patch;
  const patches = new Float32Array(count * patch * wide);
  const at = new Int32Array(2 * count);
  placesOf(rows, columns, merged).forEach(({ row, column }, i) => {
    at[i] = row;
    at[count + i] = column;
    for (let y = 0; y < patch; y++) {
      const from = ((row * patch + y) * columns + column) * wide;
      patches.set(pixels.values.subarray(from, from + wide), (i * patch + y) * wide);
    }
  });
  return { patches, at, seen: new Float32Array(count).fill(1, 0, rows * columns) } satisfies Record<string, HostArray>;
}
