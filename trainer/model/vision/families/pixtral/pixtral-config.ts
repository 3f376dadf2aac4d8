/** Reads what describes the encoder of Mistral 3 or LightOnOCR: `vision_config`, the projector's keys, and the processor of images and text. */

import { z } from 'zod';
import { elementAt } from '../../../../narrow.ts';
import {
  type ConfigValues,
  computed,
  contradiction,
  type KeyTable,
  multipleProblems,
  refusedUnless,
  withoutEffect,
} from '../../../config-keys.ts';
import { activation, commonKeys, size } from '../../../family/common-keys.ts';
import { lightOnEyes, lightOnImageKeys, mistral3Eyes, mistral3ImageKeys } from '../../../family/decoder/keys/image-text-keys.ts';
import { textPart } from '../../../family/decoder/text-part.ts';
import { type ConfigProblem, ModelConfigError } from '../../../model-spec.ts';
import type { PatchSizes } from '../../patches/patch-feeds.ts';
import { CLIP, PROCESSOR_FILE, pixelScale, processorKeys } from '../../processor-keys.ts';
import { readVisionFiles } from '../../read-tower.ts';
import type { ImageSize, PixelScale, VisionFiles } from '../../vision-encoder.ts';

const MISTRAL3 = 'Mistral3ForConditionalGeneration';
const LIGHT_ON = 'LightOnOcrForConditionalGeneration';

/** The tower and its projector. */
export interface PixtralTower extends PatchSizes {
  readonly blocks: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly activation: string;
  /** Base of the rotary positions. */
  readonly theta: number;
  readonly projector: {
    readonly activation: string;
    readonly isBiased: boolean;
    readonly epsilon: number;
    /** Features of a vector, which are those of the language model. */
    readonly outputSize: number;
  };
  /** The largest sides to which images are resized, in pixels, and the number of which both sides become multiples. */
  readonly most: ImageSize;
  readonly step: number;
  readonly scale: PixelScale;
  /** The texts of a vector, of the end of a row, and of the end of the image, which may be empty. */
  readonly texts: { readonly vector: string; readonly row: string; readonly end: string };
  /** The names of both parts in the model. */
  readonly names: { readonly tower: string; readonly projector: string };
}

export const pixtralTowerKeys = {
  ...commonKeys,
  hidden_size: computed(size(16384).default(1024)),
  intermediate_size: computed(size(65536).default(4096)),
  num_hidden_layers: computed(size(256).default(24)),
  num_attention_heads: computed(size(256).default(16)),
  hidden_act: activation('gelu'),
  patch_size: computed(size(256).default(16)),
  rope_parameters: computed(
    z
      .strictObject({
        rope_theta: z.number().positive().optional(),
        // Transformers takes the general name for this one, since published files have it.
        rope_type: z.enum(['axial', 'default']).default('axial'),
      })
      .nullish(),
  ),
  rope_theta: computed(z.number().positive().default(10_000)),
  head_dim: { class: 'refused', unless: c => [Number(c.hidden_size ?? 1024) / Number(c.num_attention_heads ?? 16)] },
  ...refusedUnless([3], 'num_channels'),
  ...withoutEffect('is a bound of older versions: the processor limits the size of images', 'image_size'),
  ...withoutEffect('is of training, and the encoder is not trained', 'attention_dropout'),
  ...withoutEffect('is for new layers, which a file always has', 'initializer_range'),
  ...withoutEffect('is of models of text', 'vocab_size', 'tie_word_embeddings'),
  ...withoutEffect('is not read by Transformers', 'is_composition'),
} as const satisfies KeyTable;

const side = size(16384);
const sides = z.looseObject({ longest_edge: side.nullish(), height: side.nullish(), width: side.nullish() });
const word = (usual: string) => computed(z.string().min(1).default(usual));

const patchSize = z.union([size(256), z.object({ height: size(256), width: size(256) })]);

const sharedProcessorKeys = {
  ...processorKeys({ ...CLIP, resample: 3 }),
  size: computed(sides.default({ longest_edge: 1024 })),
  patch_size: computed(patchSize.default(16)),
  ...refusedUnless(['PixtralImageProcessor', 'PixtralImageProcessorFast', 'PixtralImageProcessorPil'], 'image_processor_type'),
  ...withoutEffect('is for batches of images in several sizes, which are read one by one here', 'do_pad', 'pad_size'),
} as const satisfies KeyTable;

export const pixtralProcessorKeys = {
  ...sharedProcessorKeys,
  spatial_merge_size: computed(size(64).default(1)),
  image_token: word('[IMG]'),
  image_break_token: word('[IMG_BREAK]'),
  image_end_token: word('[IMG_END]'),
} as const satisfies KeyTable;

export const lightOnProcessorKeys = {
  ...sharedProcessorKeys,
  spatial_merge_size: computed(size(64).default(2)),
  // The sides of images are multiples of this size of the image processor.
  image_patch_size: computed(patchSize.default(16)),
  image_token: word('<|image_pad|>'),
  ...withoutEffect('is not written between the tokens of an image', 'image_break_token', 'image_end_token'),
} as const satisfies KeyTable;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported, in either file */
export function pixtralTower(files: VisionFiles): PixtralTower {
  refuseMissing(files);
  const tables = { architecture: MISTRAL3, whole: mistral3ImageKeys, tower: pixtralTowerKeys, usual: mistral3Eyes };
  const { whole, eyes, seen, refuseWith } = readVisionFiles({ ...tables, processor: pixtralProcessorKeys }, files);
  const { spatial_merge_size: merged } = whole;
  const most = sidesOf(seen.size);
  refuseWith(headProblems(eyes), [...sizeProblems(most), ...patchProblems(seen, eyes.patch_size, merged)]);
  const text = textPart(MISTRAL3, files.config);
  return {
    ...towerOf(eyes),
    ...{ merged, most, step: eyes.patch_size * merged, scale: pixelScale(seen) },
    projector: {
      activation: whole.projector_hidden_act,
      isBiased: whole.multimodal_projector_bias,
      epsilon: text.norms.epsilon,
      outputSize: text.hiddenSize,
    },
    texts: { vector: seen.image_token, row: seen.image_break_token, end: seen.image_end_token },
    names: { tower: 'vision_tower', projector: 'multi_modal_projector' },
  };
}

/** The same for LightOnOCR. @throws ModelConfigError with every key that is missing, out of bounds or unsupported, in either file */
export function lightOnTower(files: VisionFiles): PixtralTower {
  refuseMissing(files);
  const tables = { architecture: LIGHT_ON, whole: lightOnImageKeys, tower: pixtralTowerKeys, usual: lightOnEyes };
  const { whole, eyes, seen, refuseWith } = readVisionFiles({ ...tables, processor: lightOnProcessorKeys }, files);
  const { spatial_merge_size: merged } = whole;
  const most = sidesOf(seen.size);
  const steps = patchSides(seen.image_patch_size);
  refuseWith(headProblems(eyes), [
    ...sizeProblems(most),
    ...patchProblems(seen, eyes.patch_size, merged),
    ...stepProblems(steps, eyes.patch_size),
  ]);
  const text = textPart(LIGHT_ON, files.config);
  return {
    ...towerOf(eyes),
    ...{ merged, most, step: elementAt(steps, 0), scale: pixelScale(seen) },
    projector: { activation: 'gelu', isBiased: false, epsilon: text.norms.epsilon, outputSize: text.hiddenSize },
    texts: { vector: seen.image_token, row: '', end: '' },
    names: { tower: 'vision_encoder', projector: 'vision_projection' },
  };
}

/** @throws ModelConfigError if no file says how images are resized */
function refuseMissing({ processor }: VisionFiles): void {
  if (Object.keys(processor).length === 0)
    throw new ModelConfigError(
      `processor_config.json and ${PROCESSOR_FILE} are missing: they say how images are resized. Take the files that came with the model.`,
    );
}

type TowerValues = ConfigValues<typeof pixtralTowerKeys>;

const towerOf = (eyes: TowerValues) => ({
  blocks: eyes.num_hidden_layers,
  hiddenSize: eyes.hidden_size,
  intermediateSize: eyes.intermediate_size,
  heads: eyes.num_attention_heads,
  activation: eyes.hidden_act,
  theta: eyes.rope_parameters?.rope_theta ?? eyes.rope_theta,
  patch: eyes.patch_size,
});

function sidesOf({ longest_edge: longest, height = longest, width = longest }: z.infer<typeof sides>): ImageSize {
  return longest ? { width: longest, height: longest } : { width: width ?? 0, height: height ?? 0 };
}

const patchSides = (given: z.infer<typeof patchSize>): readonly number[] =>
  typeof given === 'number' ? [given] : [given.height, given.width];

function headProblems({ hidden_size: width, num_attention_heads: heads }: TowerValues): ConfigProblem[] {
  const uneven = multipleProblems('hidden_size', ['hidden_size', width], ['num_attention_heads', heads]);
  const odd = `heads of ${width / heads} features cannot be rotated by row and column: take a multiple of 4`;
  return uneven.length > 0 || (width / heads) % 4 === 0 ? uneven : [contradiction('num_attention_heads', odd)];
}

const sizeProblems = ({ width, height }: ImageSize): ConfigProblem[] =>
  width > 0 && height > 0 ? [] : [{ kind: 'invalid', path: ['size'], message: 'size needs longest_edge, or height and width' }];

/** Returns a problem for each size in which the processor and the model differ. */
function patchProblems(
  { patch_size: given, spatial_merge_size: joined }: Pick<ConfigValues<typeof pixtralProcessorKeys>, 'patch_size' | 'spatial_merge_size'>,
  patch: number,
  merged: number,
): ConfigProblem[] {
  const seen = patchSides(given);
  return [
    ...(seen.every(each => each === patch)
      ? []
      : [contradiction('patch_size', `patch_size is ${seen.join(' × ')}, and patch_size in vision_config of config.json is ${patch}`)]),
    ...(joined === merged
      ? []
      : [contradiction('spatial_merge_size', `spatial_merge_size is ${joined}, and spatial_merge_size in config.json is ${merged}`)]),
  ];
}

/** Returns a problem if sides of images are not made multiples of a patch's. */
function stepProblems(steps: readonly number[], patch: number): ConfigProblem[] {
  if (steps.every(step => step === steps[0] && step % patch === 0)) return [];
  const message = `patch_size of the image processor is ${steps.join(' × ')}: it must be square and a multiple of patch_size ${patch} in vision_config of config.json`;
  return [contradiction('patch_size', message)];
}
