/** Sets up reward models: pairs of answers in batches of few shapes, and their evaluation. */
import { PAIR_ROWS } from '../../data/batch/pair-batches.ts';
import { withTokenizer } from '../../job/open-base.ts';
import { inputOf } from '../../model/model-spec.ts';
import { groupSetup } from '../group-setup.ts';
import { loadPairData } from '../preference/pair-data.ts';
import { pairEvaluator } from '../preference/pair-measures.ts';
import { ownParts, type SetUpTask } from '../task-setup.ts';
import { groupsOf, isEncoder, rewardModelFor } from './reward-data.ts';
import { rewardMeasures } from './reward-measures.ts';
import { task } from './task.ts';

export const setUp: SetUpTask = async (params, part) => {
  const { recipe } = params;
  const model = rewardModelFor(params);
  const base = await withTokenizer(params.base);
  const hasSegments = isEncoder(model);
  const data = await loadPairData({ ...params, base, input: inputOf(model, 'tokens'), isEncoder: hasSegments }, part);
  return groupSetup({
    recipe,
    model,
    task: task(model, recipe),
    rowsPerSample: PAIR_ROWS,
    train: groupsOf(data.train, hasSegments),
    held: groupsOf(data.held, hasSegments),
    evaluatorOf: source => pairEvaluator(source, data.held.length, rewardMeasures),
    measure: rewardMeasures,
    parts: ownParts(params),
  });
};
