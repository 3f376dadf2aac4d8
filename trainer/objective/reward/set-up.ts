/** Reward models: pairs of answers in batches of few shapes, and their evaluation. */
import { freeOrder, type OrderSettings, orderSettings } from '../../data/batch/batch-settings.ts';
import type { TextGroup } from '../../data/text-groups/load-groups.ts';
import { withTokenizer } from '../../job/open-base.ts';
import { inputOf } from '../../model/model-spec.ts';
import { digestGroups } from '../embedding/group-data.ts';
import { loadPairData } from '../preference/pair-data.ts';
import type { SetUpTask } from '../task-setup.ts';
import { groupsOf, rewardModelFor, rewardSource } from './reward-data.ts';
import { rewardEvaluator, rewardMeasures } from './reward-evaluator.ts';
import { task } from './task.ts';

export const setUp: SetUpTask = async (params, part) => {
  const { recipe } = params;
  const model = rewardModelFor(params);
  const base = await withTokenizer(params.base);
  const data = await loadPairData({ ...params, base, input: inputOf(model, 'tokens') }, part);
  const [train, held] = [groupsOf(data.train), groupsOf(data.held)];
  const sourceOf = (groups: readonly TextGroup[], batchSize: number, order: OrderSettings) =>
    rewardSource(groups, model, { batchSize, maxLength: recipe.max_length, ...order });
  return {
    model,
    task: task(model, recipe),
    labels: [],
    samples: train.length,
    digest: { train: digestGroups(train), held: digestGroups(held) },
    labelOf: () => -1,
    trainSource: looseGroups => sourceOf(train, recipe.per_device_train_batch_size, orderSettings(recipe, looseGroups)),
    sourceOf: (indices, batchSize) =>
      sourceOf(
        indices.flatMap(index => train[index] ?? []),
        batchSize,
        freeOrder(recipe.seed),
      ),
    evaluator:
      held.length > 0 ? rewardEvaluator(sourceOf(held, recipe.per_device_eval_batch_size, freeOrder(recipe.seed)), held.length) : undefined,
    measure: (batch, { rewards }) => rewardMeasures(batch, rewards),
  };
};
