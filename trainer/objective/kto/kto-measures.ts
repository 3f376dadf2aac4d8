/** Rewards of good and bad answers, in training and in evaluations, with TRL's names and definitions. */
import type { AnswerBatch } from '../../data/batch/answer-batches.ts';
import { isAnswerBatch } from '../../data/batch/answer-batches.ts';
import type { BatchSource } from '../../data/batch/batches.ts';
import { judgmentName } from '../../data/load/load-judged.ts';
import type { HostArray } from '../../graph/types.ts';
import type { Evaluator } from '../../job/evaluate.ts';
import { elementAt } from '../../narrow.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { type MeasureSums, meansOf } from '../../train/measure-sums.ts';
import { answerLogs } from '../preference/answer-logs.ts';
import type { MeasureBatch } from '../task-setup.ts';
import { type Judged, lossOfJudged, pointOf } from './kto-loss.ts';

/** A batch of judged answers under the model. */
interface JudgedLogs {
  readonly answers: readonly (Judged & { readonly logp: number })[];
  /** Log-ratios of the mismatched answers. */
  readonly mismatched: readonly number[];
}

export interface KtoMeasuresParams {
  readonly preference: Recipe['preference'];
  readonly rowsPerSample: number;
  readonly isGood: (sample: number) => boolean;
}

/**
 * The sums, over a batch or a part of it, of `reward_desirable`, `reward_undesirable` (β times the log-ratio to the base model),
 * `logp_desirable`, `logp_undesirable`, and `kl`, the log-ratios of the mismatched answers.
 */
export const ktoMeasures =
  (params: KtoMeasuresParams): MeasureBatch =>
  (batch, { nll }) =>
    isAnswerBatch(batch) ? sumsOf(logsOf(batch, nll, params), params.preference) : {};

function logsOf(batch: AnswerBatch, nll: HostArray | undefined, { rowsPerSample, isGood }: KtoMeasuresParams): JudgedLogs {
  const { answers } = answerLogs(batch, nll, rowsPerSample);
  return {
    answers: batch.sampleIndices.map((sample, i) => {
      const { logp, ratio } = elementAt(answers, rowsPerSample * i);
      return { isGood: isGood(sample), logp, ratio };
    }),
    mismatched: answers.flatMap(({ ratio }, row) => (row % rowsPerSample === 0 ? [] : [ratio])),
  };
}

function sumsOf({ answers, mismatched }: JudgedLogs, { beta }: Recipe['preference']): MeasureSums {
  const sums: Record<string, [number, number]> = { kl: [mismatched.reduce((sum, ratio) => sum + ratio, 0), mismatched.length] };
  for (const isGood of [true, false]) {
    const own = answers.filter(answer => answer.isGood === isGood);
    const name = judgmentName(isGood);
    sums[`reward_${name}`] = [own.reduce((sum, { ratio }) => sum + beta * ratio, 0), own.length];
    sums[`logp_${name}`] = [own.reduce((sum, { logp }) => sum + logp, 0), own.length];
  }
  return sums;
}

/**
 * The same measures, with `kl` as the batch's reference point and, for a batch with both kinds, `margin`, the difference of the mean
 * rewards.
 */
export function measuresOfWhole(sums: MeasureSums): MeasureSums {
  const { kl = 0, reward_desirable: good, reward_undesirable: bad } = meansOf(sums);
  return { ...sums, kl: [Math.max(0, kl), 1], ...(good !== undefined && bad !== undefined && { margin: [good - bad, 1] }) };
}

/** Evaluates all samples as one batch: they share one reference point, so that the loss does not depend on the batches. */
export const ktoEvaluator = (source: BatchSource, samples: number, params: KtoMeasuresParams): Evaluator => ({
  source,
  samples,
  extraFeeds: () => ({}),
  startTally: () => {
    const answers: JudgedLogs['answers'][number][] = [];
    const mismatched: number[] = [];
    return {
      add(batch, outputs) {
        if (!isAnswerBatch(batch)) return;
        const found = logsOf(batch, outputs.nll, params);
        answers.push(...found.answers);
        mismatched.push(...found.mismatched);
      },
      result() {
        const point = pointOf(mismatched);
        const loss = answers.reduce((sum, answer) => sum + lossOfJudged(answer, point, params.preference), 0) / samples;
        return { loss, samples, targets: samples, measures: meansOf(measuresOfWhole(sumsOf({ answers, mismatched }, params.preference))) };
      },
    };
  },
});
