/** Rewards of the better and the worse answers, in training and in evaluations. */
import type { Batch, BatchSource } from '../../data/batch/batches.ts';
import { PAIR_ROWS } from '../../data/batch/pair-batches.ts';
import type { HostArray } from '../../graph/types.ts';
import type { Evaluator } from '../../job/evaluate.ts';
import { addSums, type MeasureSums, meansOf } from '../../train/measure-sums.ts';

/** `reward_chosen`, `reward_rejected`, `margin` and `accuracy` (the share of pairs whose better answer has the higher reward). */
export function rewardMeasures({ sampleIndices }: Batch, rewards: HostArray | undefined): MeasureSums {
  let sums: MeasureSums = {};
  for (let pair = 0; pair < sampleIndices.length; pair++) {
    const [better, worse] = [rewards?.[PAIR_ROWS * pair] ?? Number.NaN, rewards?.[PAIR_ROWS * pair + 1] ?? Number.NaN];
    sums = addSums(sums, {
      reward_chosen: [better, 1],
      reward_rejected: [worse, 1],
      margin: [better - worse, 1],
      accuracy: [Number(better > worse), 1],
    });
  }
  return sums;
}

export const rewardEvaluator = (source: BatchSource, pairs: number): Evaluator => ({
  source,
  samples: pairs,
  extraFeeds: () => ({}),
  startTally: () => {
    let sums: MeasureSums = {};
    let loss = 0;
    return {
      add(batch, { losses, rewards }) {
        for (let pair = 0; pair < batch.sampleIndices.length; pair++) loss += losses?.[pair] ?? Number.NaN;
        sums = addSums(sums, rewardMeasures(batch, rewards));
      },
      result: () => ({ loss: loss / pairs, samples: pairs, targets: pairs, measures: meansOf(sums) }),
    };
  },
});
