/** Settings for laying out batches. They limit the number of shapes, because each shape is a separate program to build. */
import type { Parts } from '../../graph/graph.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import type { BatchSettings } from './batch-plan.ts';

/** Three lengths keep padding near 10% for text of mixed lengths. Building one shape of a 135M model takes about a third of a second. */
export const BUCKETS = { maxBuckets: 3, multipleOf: 16, targetMultiple: 8, maxTargetSizes: 2 } as const;

/** The settings for ordering the samples of an epoch and grouping them into batches. */
export type OrderSettings = Pick<BatchSettings, 'shuffle' | 'grouped' | 'looseGroups' | 'seed' | 'parts'>;

export const orderSettings = ({ data, group_by_length, data_seed }: Recipe, looseGroups = false): OrderSettings => ({
  shuffle: data.shuffle,
  grouped: group_by_length,
  looseGroups,
  seed: data_seed,
});

/** The order for passes whose result does not depend on it: evaluation and importance. */
export const freeOrder = (seed: number): OrderSettings => ({ shuffle: false, grouped: true, seed });

/** The batch settings of training. @param parts the parts of a batch, if several processes train */
export const trainBatchSettings = (recipe: Recipe, looseGroups?: boolean, parts?: Parts): BatchSettings => ({
  parts,
  batchSize: recipe.per_device_train_batch_size,
  maxLength: recipe.max_length,
  packing: recipe.packing,
  ...orderSettings(recipe, looseGroups),
  ...BUCKETS,
});

/** The batch settings of passes whose result does not depend on the grouping into batches. */
export const evalBatchSettings = (recipe: Recipe, batchSize = recipe.per_device_eval_batch_size): BatchSettings => ({
  batchSize,
  maxLength: recipe.max_length,
  packing: false,
  ...freeOrder(recipe.seed),
  ...BUCKETS,
});
