/** Rewards of the better and the worse answers, in training and in evaluations. */
import { PAIR_ROWS } from '../../data/batch/pair-batches.ts';
import { addSums, type MeasureSums } from '../../train/measure-sums.ts';
import { rewardSums } from '../preference/pair-measures.ts';
import type { MeasureBatch } from '../task-setup.ts';

/** `reward_chosen`, `reward_rejected`, `margin` and `accuracy` (the share of pairs whose better answer has the higher reward). */
export const rewardMeasures: MeasureBatch = ({ sampleIndices }, { rewards }) => {
  let sums: MeasureSums = {};
  for (let pair = 0; pair < sampleIndices.length; pair++)
    sums = addSums(sums, rewardSums(rewards?.[PAIR_ROWS * pair] ?? Number.NaN, rewards?.[PAIR_ROWS * pair + 1] ?? Number.NaN));
  return sums;
};
