/** The task causal_lm: tokenized samples in batches of few shapes, with the next-token loss. */
import path from 'node:path';

import { planBatches } from '../../data/batch/batch-plan.ts';
import { BUCKETS, freeOrder, trainBatchSettings } from '../../data/batch/batch-settings.ts';
import { type BatchSource, type TokenBatch, type TokenSourceParams, tokenSource } from '../../data/batch/batches.ts';
import { planInOrder } from '../../data/batch/plan-in-order.ts';
import { digestSamples } from '../../data/data-digest.ts';
import type { TokenSequence } from '../../data/types.ts';
import { dataBringsImages } from '../../data/vision/data-brings-images.ts';
import type { ImageReading, SampleImage } from '../../data/vision/sample-image.ts';
import { type TextBase, withTokenizer } from '../../job/open-base.ts';
import { padIdOf } from '../../job/pad-id.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import { RunError } from '../../run-error.ts';
import { encodeImages, type ImageVectors } from '../../vision/encode-images.ts';
import { imageSource } from '../../vision/image-feeds.ts';
import { imageReadingOf } from '../../vision/image-reading.ts';
import { loadHeldData, loadTrainingData, type RunData } from '../load-data.ts';
import { loadInOrder } from '../load-in-order.ts';
import { ownParts, type ReadParams, type SetUpParams, type SetUpTask, type TaskSetup } from '../task-setup.ts';
import { causalTask } from './causal-task.ts';
import { type TokenEvaluator, tokenEvaluator } from './token-evaluator.ts';

/** @throws RunError 'wrong-task' for a model that does not generate text */
export function causalModelFor({ recipe, base: { model } }: Pick<ReadParams, 'recipe' | 'base'>): CausalModel {
  if (model.kind === 'causal') return model;
  throw new RunError(
    'wrong-task',
    `the model is a ${model.family} that classifies; the task ${recipe.task} needs one that predicts the next token`,
    `Set task: ${model.input.kind === 'image' ? 'image_classification' : 'sequence_classification'}`,
  );
}

/** Sets up a language model. Samples are tokenized on demand if their order allows it. */
export const setUpCausal: SetUpTask = (params, part) => setUpTexts(params, part, { isLazy: true, readsImages: true });

/** The setup of a task that writes texts, with the data behind its samples. */
export interface TextSetup extends TaskSetup {
  readonly data: RunData;
  readonly base: TextBase<CausalModel>;
  readonly evaluator: TokenEvaluator | undefined;
}

export interface TextOptions {
  /** True if an evaluation of labeled data also finds the label that the model would write; true by default. */
  readonly scoresLabels?: boolean;
  /** True if training samples may be tokenized on demand; false by default. */
  readonly isLazy?: boolean;
  /** True if the images of samples are read; false by default. */
  readonly readsImages?: boolean;
}

/** Makes the batches of a plan. @param packed as the recipe has it if left out */
export type MakeSource = (
  plan: TokenSourceParams['plan'],
  sequences: TokenSourceParams['sequences'],
  packed?: boolean,
) => BatchSource<TokenBatch>;

/** How images are read; undefined if the model reads none, or the data has none. */
export async function imagesOfData({ recipe, context }: ReadParams, base: TextBase<CausalModel>): Promise<ImageReading | undefined> {
  const reading = imageReadingOf(base, context.cacheDir);
  if (reading === undefined) return undefined;
  const paths = [...recipe.data.train, ...recipe.data.eval].map(file => path.resolve(context.baseDir, file));
  return (await dataBringsImages(paths, recipe.data.columns)) ? reading : undefined;
}

function* imagesIn(...parts: readonly Iterable<Pick<TokenSequence, 'images'>>[]): Generator<SampleImage> {
  for (const part of parts) for (const { images = [] } of part) yield* images;
}

/** The vectors of the images of sequences; undefined if no images are read. @throws as `encodeImages` does */
export const vectorsOf = async (
  params: SetUpParams,
  { model, vision }: Pick<TextBase<CausalModel>, 'model' | 'vision'>,
  images: ImageReading | undefined,
  ...parts: readonly Iterable<Pick<TokenSequence, 'images'>>[]
): Promise<ImageVectors | undefined> =>
  images && vision ? encodeImages(params, { ...params.base, model, vision }, imagesIn(...parts)) : undefined;

export async function setUpTexts(
  params: SetUpParams,
  part: 'train' | 'held',
  { scoresLabels = true, isLazy = false, readsImages = false }: TextOptions = {},
): Promise<TextSetup> {
  const { recipe } = params;
  const model = causalModelFor(params);
  const base = await withTokenizer({ ...params.base, model }, recipe.data.image_max_pixels);
  const images = readsImages ? await imagesOfData(params, base) : undefined;
  const loading = { ...params, base, images };
  const inOrder = isLazy && part === 'train' ? await loadInOrder(loading) : undefined;
  const data = inOrder ?? (part === 'train' ? await loadTrainingData(loading) : await loadHeldData(loading));
  const vectors = await vectorsOf(params, base, images, data.train, data.held);
  const padId = padIdOf(base);
  const labels = data.labels.map(({ name }) => name);
  const source: MakeSource = (plan, sequences, packed = recipe.packing) => {
    const tokens = tokenSource({ plan, sequences, padId, packed });
    return vectors ? imageSource({ source: tokens, sequences, model, vectors }) : tokens;
  };
  const evaluator =
    data.held.length > 0
      ? tokenEvaluator({
          examples: data.held,
          labels: scoresLabels ? data.labels : [],
          batchSize: recipe.per_device_eval_batch_size,
          packing: recipe.packing,
          maxPositions: model.maxPositions,
          seed: recipe.seed,
          source,
        })
      : undefined;
  return {
    model,
    data,
    base,
    task: causalTask(model, {
      packed: recipe.packing,
      images: vectors !== undefined,
      labelTokens: evaluator?.scoring?.kind === 'begin' ? evaluator.scoring.tokens : undefined,
    }),
    labels,
    samples: data.train.length,
    digest: { train: inOrder?.digest ?? digestSamples(data.train), held: digestSamples(data.held) },
    batching: inOrder && 3,
    labelOf: index => labels.indexOf(data.train.label(index) ?? ''),
    trainSource: (looseGroups, parts = ownParts(params)) => {
      const settings = trainBatchSettings(recipe, looseGroups, parts);
      return source((inOrder ? planInOrder : planBatches)(data.train.sizes, settings), data.train);
    },
    sourceOf: (indices, batchSize) => {
      const chosen = data.train.select(indices);
      const settings = { batchSize, maxLength: recipe.max_length, packing: recipe.packing, ...freeOrder(recipe.seed), ...BUCKETS };
      return source(planBatches(chosen.sizes, settings), chosen);
    },
    evaluator,
    heldAnswers: () => data.held,
    imageVectors: vectors,
  };
}
