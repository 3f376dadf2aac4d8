/** The log-probabilities of a batch's answers under the model and under the base model. */
import type { AnswerBatch } from '../../data/batch/answer-batches.ts';
import type { HostArray } from '../../graph/types.ts';

/** One answer under the model. */
export interface AnswerLogs {
  /** Log-probability, summed over its tokens. */
  readonly logp: number;
  /** Its log-probability minus that under the base model. */
  readonly ratio: number;
  readonly tokens: number;
}

interface BatchLogs {
  /** One per row, sample by sample. */
  readonly answers: readonly AnswerLogs[];
  /** Σ exp d − 1 − d over the tokens of all answers, where d is the log-ratio of a token to the base model. */
  readonly divergence: number;
  /** Number of tokens of all answers. */
  readonly tokens: number;
}

/** @param nll of each target of the batch, [targets] */
export function answerLogs(batch: AnswerBatch, nll: HostArray | undefined, rowsPerSample: number): BatchLogs {
  const { rows, targetRows, baseNll, presence, sampleIndices } = batch;
  const answers = Array.from({ length: rowsPerSample * sampleIndices.length }, () => ({ logp: 0, ratio: 0, tokens: 0 }));
  let [divergence, tokens] = [0, 0];
  for (let i = 0; i < rows.targetCount; i++) {
    const answer = answers[targetRows[i] as number];
    if (!answer || presence[i] !== 1) continue;
    const loss = nll?.[i] ?? Number.NaN;
    const ratio = (baseNll[i] as number) - loss;
    answer.logp -= loss;
    answer.ratio += ratio;
    answer.tokens++;
    divergence += Math.expm1(ratio) - ratio;
    tokens++;
  }
  return { answers, divergence, tokens };
}
