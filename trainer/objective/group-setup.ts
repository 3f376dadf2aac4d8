/** Tasks whose samples consist of several texts to compare: their batches and their setup. */
import type { BatchPlan } from '../data/batch/batch-plan.ts';
import { freeOrder, type OrderSettings, orderSettings } from '../data/batch/batch-settings.ts';
import type { BatchSource } from '../data/batch/batches.ts';
import { groupSource } from '../data/batch/group-batches.ts';
import { withRowsPerSample } from '../data/batch/rows-per-sample.ts';
import { digestSamples } from '../data/data-digest.ts';
import type { TextGroup } from '../data/text-groups/load-groups.ts';
import type { Evaluator } from '../job/evaluate.ts';
import { type ClassifierModel, inputOf } from '../model/model-spec.ts';
import { elementAt } from '../narrow.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import type { Task } from '../train/task.ts';
import { planTexts } from './classifier/text-reader.ts';
import type { DataParts } from './data-parts.ts';
import type { MeasureBatch, TaskSetup } from './task-setup.ts';

export interface GroupSetupParams extends DataParts<TextGroup> {
  readonly recipe: Recipe;
  readonly model: ClassifierModel;
  readonly task: Task;
  /** Number of texts per sample. */
  readonly rowsPerSample: number;
  /** @param source of the held-out samples, at least one */
  readonly evaluatorOf: (source: BatchSource) => Evaluator;
  readonly measure?: MeasureBatch;
  /** The part of each batch to train on; by default, all of it. */
  readonly parts?: OrderSettings['parts'];
}

export function groupSetup({
  recipe,
  model,
  task,
  rowsPerSample,
  train,
  held,
  evaluatorOf,
  measure,
  parts: own,
}: GroupSetupParams): TaskSetup {
  const sourceOf = (groups: readonly TextGroup[], batchSize: number, order: OrderSettings): BatchSource =>
    groupBatches(groups, model, { rowsPerSample, batchSize, maxLength: recipe.max_length, ...order });
  const evaluating = (groups: readonly TextGroup[], batchSize: number) => sourceOf(groups, batchSize, freeOrder(recipe.seed));
  return {
    model,
    task,
    labels: [],
    samples: train.length,
    digest: { train: digestGroups(train), held: digestGroups(held) },
    labelOf: () => -1,
    trainSource: (looseGroups, parts = own) =>
      sourceOf(train, recipe.per_device_train_batch_size, { ...orderSettings(recipe, looseGroups), parts }),
    sourceOf: (indices, batchSize) =>
      evaluating(
        indices.flatMap(index => train[index] ?? []),
        batchSize,
      ),
    evaluator: held.length > 0 ? evaluatorOf(evaluating(held, recipe.per_device_eval_batch_size)) : undefined,
    ...(measure && { measure }),
  };
}

interface GroupPlanSettings extends OrderSettings {
  readonly rowsPerSample: number;
  readonly batchSize: number;
  readonly maxLength: number;
}

/** The batches of samples for a model that reads each text in its own row. */
export function groupBatches(groups: readonly TextGroup[], model: ClassifierModel, settings: GroupPlanSettings): BatchSource {
  const { padId, tokenTypes } = inputOf(model, 'tokens');
  const { rowsPerSample } = settings;
  return groupSource({ plan: planGroups(groups, settings), groups, rowsPerSample, padId, types: tokenTypes > 1 });
}

/** A plan whose batches have `rowsPerSample` rows per sample, each as long as the sample's longest text. */
export function planGroups(groups: readonly TextGroup[], { rowsPerSample, ...settings }: GroupPlanSettings): BatchPlan {
  return withRowsPerSample(planTexts(groups.map(longestText), settings), rowsPerSample, sample => tokensOf(elementAt(groups, sample)));
}

/** Total tokens of a sample's texts. */
export const tokensOf = ({ texts }: TextGroup): number => texts.reduce((sum, ids) => sum + ids.length, 0);

/** See `digestSamples`. */
const digestGroups = (groups: readonly TextGroup[]): string =>
  digestSamples(groups.flatMap(({ texts, score, file, line }) => texts.map(ids => ({ ids, target: score, file, line }))));

const longestText = ({ texts }: TextGroup): { readonly ids: Int32Array } =>
  texts.map(ids => ({ ids })).reduce((a, b) => (b.ids.length > a.ids.length ? b : a));
