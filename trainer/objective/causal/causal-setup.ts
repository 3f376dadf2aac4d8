/** The task causal_lm: tokenized samples in batches of few shapes, with the next-token loss. */

import { planBatches } from '../../data/batch/batch-plan.ts';
import { BUCKETS, freeOrder, trainBatchSettings } from '../../data/batch/batch-settings.ts';
import { type TokenSourceParams, tokenSource } from '../../data/batch/batches.ts';
import { planInOrder } from '../../data/batch/plan-in-order.ts';
import { digestSamples } from '../../data/data-digest.ts';
import { type TextBase, withTokenizer } from '../../job/open-base.ts';
import { padIdOf } from '../../job/pad-id.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import { RunError } from '../../run-error.ts';
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
export const setUpCausal: SetUpTask = (params, part) => setUpTexts(params, part, { isLazy: true });

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
}

export async function setUpTexts(
  params: SetUpParams,
  part: 'train' | 'held',
  { scoresLabels = true, isLazy = false }: TextOptions = {},
): Promise<TextSetup> {
  const { recipe } = params;
  const model = causalModelFor(params);
  const base = await withTokenizer({ ...params.base, model });
  const loading = { ...params, base };
  const inOrder = isLazy && part === 'train' ? await loadInOrder(loading) : undefined;
  const data = inOrder ?? (part === 'train' ? await loadTrainingData(loading) : await loadHeldData(loading));
  const padId = padIdOf(base);
  const labels = data.labels.map(({ name }) => name);
  const evaluator =
    data.held.length > 0
      ? tokenEvaluator({
          examples: data.held,
          labels: scoresLabels ? data.labels : [],
          batchSize: recipe.per_device_eval_batch_size,
          packing: recipe.packing,
          maxPositions: model.maxPositions,
          seed: recipe.seed,
          padId,
        })
      : undefined;
  const source = (plan: TokenSourceParams['plan'], sequences: TokenSourceParams['sequences']) =>
    tokenSource({ plan, sequences, padId, packed: recipe.packing });
  return {
    model,
    data,
    base,
    task: causalTask(model, {
      packed: recipe.packing,
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
  };
}
