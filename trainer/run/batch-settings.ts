/** How batches are laid out: how many shapes there may be, as each is a program of its own to build. */
import type { Recipe } from '../protocol/recipe-schema.ts';
import type { BatchSettings } from '../train/data/batch-plan.ts';

/** Three lengths keep padding near a tenth for text of mixed lengths; a shape of a 135M model takes about a third of a second to build. */
export const BUCKETS = { maxBuckets: 3, multipleOf: 16, targetMultiple: 8, maxTargetSizes: 2 } as const;

export const trainBatchSettings = (recipe: Recipe): BatchSettings => ({
  batchSize: recipe.per_device_train_batch_size,
  maxLength: recipe.max_length,
  packing: recipe.packing,
  shuffle: recipe.data.shuffle,
  seed: recipe.seed,
  ...BUCKETS,
});
