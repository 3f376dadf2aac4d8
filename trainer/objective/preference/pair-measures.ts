/** Rewards, margins and accuracy of pairs, in training and in evaluations. */

import type { BatchSource } from '../../data/batch/batches.ts';
import { PAIR_ROWS, type PairBatch } from '../../data/batch/pair-batches.ts';
import type { HostArray } from '../../graph/types.ts';
import type { Evaluator } from '../../job/evaluate.ts';
import { atLeast } from '../../narrow.ts';
import { addSums, type MeasureSums, meansOf } from '../../train/measure-sums.ts';
import type { MeasureBatch } from '../task-setup.ts';
import { type AnswerLogs, answerLogs } from './answer-logs.ts';

/** Returns the implicit reward of an answer, which its loss compares. */
export type RewardOf = (answer: AnswerLogs) => number;

/** The log-probability of an answer per token, times β. */
export const rewardPerToken =
  ({ beta }: { readonly beta: number }): RewardOf =>
  ({ logp, tokens }) =>
    (beta * logp) / Math.max(1, tokens);

export interface PairMeasuresParams {
  readonly reward: RewardOf;
  /** True if the base model's log-probabilities are known. */
  readonly usesReference: boolean;
  /** True if the loss also includes the next-token loss of the prompt and the better answer. */
  readonly learnsChosen: boolean;
}

/**
 * `reward_chosen`, `reward_rejected`, `margin`, `accuracy` (the share of pairs whose better answer has the higher reward), `logp_chosen`
 * and `logp_rejected` of each pair. With a reference, also `kl`: exp d − 1 − d, where d is the log-ratio of a token to the base model. Its
 * mean estimates the divergence of the base from the model per token (Schulman 2020) if the answers are similar to the base's own. With
 * `learnsChosen`, also `nll`: the mean NLL of the prompt and the better answer.
 */
export function pairMeasures(
  batch: PairBatch,
  nll: HostArray | undefined,
  { reward, usesReference, learnsChosen }: PairMeasuresParams,
): MeasureSums {
  const { rows, targetRows, chosenTargets, sampleIndices } = batch;
  const { answers, divergence, tokens } = answerLogs(batch, nll, PAIR_ROWS);
  let learned = 0;
  for (let i = 0; i < rows.targetCount; i++) if ((targetRows[i] as number) % PAIR_ROWS === 0) learned += nll?.[i] ?? Number.NaN;
  let sums: MeasureSums = {
    ...(usesReference && { kl: [divergence, tokens] }),
    ...(learnsChosen && { nll: [learned, chosenTargets] }),
  };
  for (let pair = 0; pair < sampleIndices.length; pair++) {
    const [chosen, rejected] = atLeast(answers.slice(PAIR_ROWS * pair, PAIR_ROWS * (pair + 1)), PAIR_ROWS);
    sums = addSums(sums, {
      ...rewardSums(reward(chosen), reward(rejected)),
      logp_chosen: [chosen.logp, 1],
      logp_rejected: [rejected.logp, 1],
    });
  }
  return sums;
}

/** The measures of one pair, from the rewards of its answers. */
export const rewardSums = (better: number, worse: number): MeasureSums => ({
  reward_chosen: [better, 1],
  reward_rejected: [worse, 1],
  margin: [better - worse, 1],
  accuracy: [Number(better > worse), 1],
});

/** Evaluates pairs by their `losses`, plus the mean `nll` if it is among the measures. */
export const pairEvaluator = (source: BatchSource, pairs: number, measure: MeasureBatch): Evaluator => ({
  source,
  samples: pairs,
  extraFeeds: () => ({}),
  startTally: () => {
    let sums: MeasureSums = {};
    let loss = 0;
    return {
      add(batch, outputs) {
        for (let pair = 0; pair < batch.sampleIndices.length; pair++) loss += outputs.losses?.[pair] ?? Number.NaN;
        sums = addSums(sums, measure(batch, outputs));
      },
      result() {
        const measures = meansOf(sums);
        return { loss: loss / pairs + (measures.nll ?? 0), samples: pairs, targets: pairs, measures };
      },
    };
  },
});
