/** The preview of pairs of answers for a reward model. */
import { orderSettings } from '../../data/batch/batch-settings.ts';
import { PAIR_ROWS } from '../../data/batch/pair-batches.ts';
import { inputOf } from '../../model/model-spec.ts';
import type { PreviewData } from '../data-preview.ts';
import { planGroups } from '../group-setup.ts';
import { previewPairsOf } from '../preference/preference-preview.ts';
import { groupsOf, isEncoder, rewardModelFor } from './reward-data.ts';

export const preview: PreviewData = async params => {
  const model = rewardModelFor(params);
  return previewPairsOf(params, {
    isEncoder: isEncoder(model),
    inputOf: () => inputOf(model, 'tokens'),
    planOf: (pairs, recipe) =>
      planGroups(groupsOf(pairs, isEncoder(model)), {
        rowsPerSample: PAIR_ROWS,
        batchSize: recipe.per_device_train_batch_size,
        maxLength: recipe.max_length,
        ...orderSettings(recipe),
      }),
  });
};
