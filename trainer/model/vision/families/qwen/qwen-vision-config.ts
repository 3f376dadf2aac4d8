/** Reads what describes the vision tower of Qwen's models: `vision_config`, and the image processor. */

import { z } from 'zod';
import {
  type ConfigValues,
  computed,
  contradiction,
  type KeyTable,
  multipleProblems,
  readConfig,
  refuse,
  refusedUnless,
  withoutEffect,
} from '../../../config-keys.ts';
import { activation, commonKeys, size } from '../../../family/common-keys.ts';
import { type ConfigProblem, ModelConfigError } from '../../../model-spec.ts';
import type { TowerSizes } from '../../patches/tower-sizes.ts';
import { CLIP, PROCESSOR_FILE, pixelScale, processorKeys } from '../../processor-keys.ts';
import { readTower } from '../../read-tower.ts';
import type { VisionFiles } from '../../vision-encoder.ts';

/** The text of an image's token, and its placeholder in chat templates. */
export const IMAGE = '<|image_pad|>';

/** One tower of Qwen2-VL, Qwen3-VL or Qwen3.5. */
export interface QwenTower extends TowerSizes {
  /** The square table of learned positions; undefined for towers that only rotate, whose patches have no bias either. */
  readonly table: { readonly side: number; readonly rows: number } | undefined;
  /** The blocks whose states also become vectors. */
  readonly deepstack: readonly number[];
}

const eyes = (usual: number) => computed(size(16384).default(usual));

/** The keys of `vision_config` that all generations have. */
export const plainKeys = {
  ...commonKeys,
  depth: computed(size(256).default(27)),
  hidden_size: eyes(1152),
  intermediate_size: computed(size(65536).default(4304)),
  num_heads: computed(size(256).default(16)),
  hidden_act: activation('gelu_pytorch_tanh'),
  patch_size: computed(size(256).default(16)),
  temporal_patch_size: computed(size(16).default(2)),
  spatial_merge_size: computed(size(16).default(2)),
  out_hidden_size: eyes(3584),
  rope_parameters: computed(
    z.looseObject({ rope_theta: z.number().positive().default(10_000), rope_type: z.literal('axial').default('axial') }).default({
      rope_theta: 10_000,
      rope_type: 'axial',
    }),
  ),
  head_dim: { class: 'refused', unless: c => [Number(c.hidden_size) / Number(c.num_heads)] },
  ...refusedUnless([3], 'in_channels'),
  ...refusedUnless([10_000], 'rope_theta'),
  ...withoutEffect('is for new layers, which a file always has', 'initializer_range'),
} as const satisfies KeyTable;

/** @param usual the blocks whose states also become vectors, by default; undefined for towers without any */
export const qwenTowerKeys = (usual: readonly number[] | undefined) =>
  ({
    ...plainKeys,
    num_position_embeddings: computed(size(2 ** 20).default(2304)),
    deepstack_visual_indexes: computed(
      z
        .array(z.number().int().nonnegative())
        .max(usual ? 256 : 0)
        .nullish()
        .transform(found => found ?? usual ?? []),
    ),
  }) as const satisfies KeyTable;

const pixels = size(2 ** 28);
const limits = z.object({
  shortest_edge: pixels.nullish(),
  longest_edge: pixels.nullish(),
  min_pixels: pixels.nullish(),
  max_pixels: pixels.nullish(),
});

export const qwenProcessorKeys = {
  ...processorKeys({ ...CLIP, resample: 3 }),
  size: computed(limits.nullish()),
  min_pixels: computed(pixels.nullish()),
  max_pixels: computed(pixels.nullish()),
  patch_size: computed(size(256).default(14)),
  temporal_patch_size: computed(size(16).default(2)),
  merge_size: computed(size(16).default(2)),
  ...refusedUnless(
    [
      'Qwen2VLImageProcessor',
      'Qwen2VLImageProcessorFast',
      'Qwen2VLImageProcessorPil',
      'Qwen3VLImageProcessor',
      'Qwen3VLImageProcessorFast',
    ],
    'image_processor_type',
  ),
} as const satisfies KeyTable;

/** The least and most pixels, in the older and the newer form. */
function pixelLimits(c: ConfigValues<typeof qwenProcessorKeys>, usual: z.infer<typeof limits>) {
  const own = c.size ?? usual;
  return {
    minPixels: c.min_pixels ?? own.shortest_edge ?? own.min_pixels,
    maxPixels: c.max_pixels ?? own.longest_edge ?? own.max_pixels,
  };
}

/**
 * @param usual see `qwenTowerKeys`
 * @throws ModelConfigError with every key that is missing, out of bounds or unsupported, in either file
 */
export function qwenTower(architecture: string, files: VisionFiles, usual: readonly number[] | undefined): QwenTower {
  const { values: c, problems } = readTower(qwenTowerKeys(usual), architecture, files.config);
  const deepstack = c.deepstack_visual_indexes;
  const sizes = qwenSizes(architecture, files, c, [...problems, ...blockProblems('deepstack_visual_indexes', deepstack, c.depth)]);
  const rows = c.num_position_embeddings;
  return { ...sizes, deepstack, table: { side: Math.floor(Math.sqrt(rows)), rows } };
}

/** Returns a problem if a listed block does not exist. */
export const blockProblems = (key: string, listed: readonly number[], depth: number): ConfigProblem[] =>
  listed.every(block => block < depth) ? [] : [contradiction(key, `${key} [${listed}] names a block beyond depth ${depth}`)];

/** The limits of a processor without any. */
const SIZE = { shortest_edge: 56 * 56, longest_edge: 28 * 28 * 1280 };

interface OwnKeys {
  /** The keys of the width of a patch and of the number of heads. */
  readonly width?: string;
  readonly heads?: string;
  readonly processor?: typeof qwenProcessorKeys;
  readonly size?: z.infer<typeof limits>;
}

/**
 * @param c the values of `vision_config`
 * @param problems those found there
 * @param own what a family has in place of Qwen's
 * @throws ModelConfigError with all problems of either file
 */
export function qwenSizes(
  architecture: string,
  { processor }: VisionFiles,
  c: ConfigValues<typeof plainKeys>,
  problems: readonly ConfigProblem[],
  {
    width: widthKey = 'hidden_size',
    heads: headsKey = 'num_heads',
    processor: table = qwenProcessorKeys,
    size: usual = SIZE,
  }: OwnKeys = {},
): TowerSizes {
  if (Object.keys(processor).length === 0)
    throw new ModelConfigError(`${PROCESSOR_FILE} is missing: it says how images are resized. Take the file that came with the model.`);
  const { values: p, problems: ofProcessor } = readConfig(table, `${architecture}'s image processor`, processor, PROCESSOR_FILE);
  const { minPixels, maxPixels } = pixelLimits(p, usual);
  const headDim = c.hidden_size / c.num_heads;
  const heads = [headsKey, c.num_heads] as const;
  const odd = `heads of ${headDim} features cannot be rotated by row and column: take a multiple of 4`;
  refuse(
    [...problems, ...multipleProblems(widthKey, [widthKey, c.hidden_size], heads), ...(headDim % 4 ? [contradiction(headsKey, odd)] : [])],
    architecture,
  );
  refuse([...ofProcessor, ...processorProblems(c, p), ...limitProblems(minPixels, maxPixels)], architecture, PROCESSOR_FILE);
  return {
    blocks: c.depth,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    heads: c.num_heads,
    activation: c.hidden_act,
    theta: c.rope_parameters.rope_theta,
    patch: c.patch_size,
    frames: c.temporal_patch_size,
    merged: c.spatial_merge_size,
    outputSize: c.out_hidden_size,
    limits: { factor: c.patch_size * c.spatial_merge_size, minPixels: minPixels ?? 1, maxPixels: maxPixels ?? 1 },
    scale: pixelScale(p),
  };
}

interface PatchSizes {
  readonly patch_size: number;
  readonly temporal_patch_size: number;
}

/** Returns a problem for each size in which the processor and the tower differ. */
function processorProblems(
  tower: PatchSizes & { readonly spatial_merge_size: number },
  processor: PatchSizes & { readonly merge_size: number },
): ConfigProblem[] {
  const pairs = [
    ['patch_size', processor.patch_size, 'patch_size', tower.patch_size],
    ['temporal_patch_size', processor.temporal_patch_size, 'temporal_patch_size', tower.temporal_patch_size],
    ['merge_size', processor.merge_size, 'spatial_merge_size', tower.spatial_merge_size],
  ] as const;
  return pairs.flatMap(([key, value, other, wanted]) =>
    value === wanted ? [] : [contradiction(key, `${key} is ${value}, and ${other} in vision_config of config.json is ${wanted}`)],
  );
}

function limitProblems(least: number | null | undefined, most: number | null | undefined): ConfigProblem[] {
  if (!least || !most)
    return [
      { kind: 'invalid', path: ['size'], message: 'size needs shortest_edge and longest_edge: the least and most pixels of an image' },
    ];
  return least > most ? [contradiction('size', `size asks for at least ${least} and at most ${most} pixels`)] : [];
}
