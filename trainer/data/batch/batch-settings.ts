/** How batches are laid out: how many shapes there may be, as each is a program of its own to build. */
import type { Parts } from '../../graph/graph.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import type { BatchSettings } from './batch-plan.ts';

/** Three lengths keep padding near a tenth for text of mixed lengths; a shape of a 135M model takes about a third of a second to build. */
export const BUCKETS = { maxBuckets: 3, multipleOf: 16, targetMultiple: 8, maxTargetSizes: 2 } as const;

/** How the samples of an epoch are ordered and made into batches. */
export type OrderSettings = Pick<BatchSettings, 'shuffle' | 'grouped' | 'looseGroups' | 'seed' | 'parts'>;

export const orderSettings = ({ data, group_by_length, data_seed }: Recipe, looseGroups = false): OrderSettings => ({
  shuffle: data.shuffle,
  grouped: group_by_length,
  looseGroups,
  seed: data_seed,
});

/** The order of passes whose result does not depend on it: evaluation and importance. */
export const freeOrder = (seed: number): OrderSettings => ({ shuffle: false, grouped: true, seed });

/** @param parts of a batch, if several processes train */
export const trainBatchSettings = (recipe: Recipe, looseGroups?: boolean, parts?: Parts): BatchSettings => ({
  parts,
  batchSize: recipe.per_device_train_batch_size,
  maxLength: recipe.max_length,
  packing: recipe.packing,
  ...orderSettings(recipe, looseGroups),
  ...BUCKETS,
});

/** Settings of passes whose result does not depend on how samples are made into batches. */
export const evalBatchSettings = (recipe: Recipe, batchSize = recipe.per_device_eval_batch_size): BatchSettings => ({
  batchSize,
  maxLength: recipe.max_length,
  packing: false,
  ...freeOrder(recipe.seed),
  ...BUCKETS,
});
