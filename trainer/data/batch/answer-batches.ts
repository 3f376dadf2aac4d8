/** The batches of samples that are one or several answers: each answer in a row, those of a sample in neighboring rows. */

import type { HostArray } from '../../graph/types.ts';
import { elementAt } from '../../narrow.ts';
import type { TokenSequence } from '../types.ts';
import { countTargets } from '../types.ts';
import { type BatchPlan, type BatchSettings, planBatches, type Row, type SampleSize } from './batch-plan.ts';
import { type Batch, type BatchSource, type TokenBatch, tokenSource } from './batches.ts';
import { withRowsPerSample } from './rows-per-sample.ts';

/** A batch of answers. Its targets are those of the rows; `targetCount` counts samples. */
export interface AnswerBatch extends Batch {
  readonly rows: Pick<TokenBatch, 'targetPositions' | 'targetSamples' | 'targetWeights' | 'targetCount'>;
  /** int32 [targets] the row of each. */
  readonly targetRows: Int32Array;
  /** [targets] 1 for targets of an answer, 0 for those of a prompt and in slots that only fill the shape. */
  readonly presence: Float32Array;
  /** As in `Batch`; 0 where it is not known, or not yet. */
  readonly baseNll: Float32Array;
}

/** The NLL of each target of a sequence under the base model, by the sequence's number: rows per sample · sample + its row. */
export type BaseNlls = (sequence: number) => Float32Array | undefined;

/** Room for all answers of a sample, of which each takes a row. */
export const sizeOfAnswers = (answers: readonly TokenSequence[]): SampleSize => ({
  length: Math.max(...answers.map(({ ids }) => ids.length)),
  targets: answers.reduce((sum, answer) => sum + countTargets(answer), 0),
});

/** Tokens of all answers of a sample. */
export const tokensOf = (answers: readonly TokenSequence[]): number => answers.reduce((sum, { ids }) => sum + ids.length, 0);

/** A plan whose samples are answers and whose batches have a row for each. @param samples all with as many answers; at least one sample */
export function planAnswers(samples: readonly (readonly TokenSequence[])[], settings: BatchSettings): BatchPlan {
  const plan = planBatches(samples.map(sizeOfAnswers), settings);
  const rowsPerSample = samples[0]?.length ?? 1;
  return {
    ...withRowsPerSample(plan, rowsPerSample, sample => tokensOf(elementAt(samples, sample))),
    rows: plan.rows.map(row => ({ ...row, targets: 1 })),
  };
}

export interface AnswerSourceParams {
  /** Its batches have the rows of all answers. */
  readonly plan: BatchPlan;
  /** Those of each sample, one sample after the other. */
  readonly sequences: readonly TokenSequence[];
  readonly rowsPerSample: number;
  /** The sequences with the answers alone as targets; left out, these are all targets. */
  readonly answers?: readonly TokenSequence[];
  readonly padId: number;
  readonly baseNlls?: BaseNlls | undefined;
}

/**
 * Feeds: `ids` int32 [batch, tokens]; `targetPositions`, `targetIds`, `targetRows` int32 [targets], the row of each; `targetPresence`
 * [targets], 1 for those of an answer; `baseNll` [targets]; `lossWeights` [batch / rows per sample], 1 over the samples of the update, or 0.
 */
export function answerSource(params: AnswerSourceParams): BatchSource<AnswerBatch> {
  const { plan, sequences, rowsPerSample, answers = sequences, padId, baseNlls = () => undefined } = params;
  const tokens = tokenSource({ plan, sequences, padId, packed: false });
  return {
    plan,
    async fill(planned) {
      const sampleIndices = planned.rows.flatMap(row => row.sequences);
      const rows = await tokens.fill({ ...planned, rows: sampleIndices.flatMap(sample => rowsOf(sequences, sample, rowsPerSample)) });
      const { tokens: width, batch } = planned.bucket;
      const targetRows = rows.targetPositions.map(position => Math.floor(position / width));
      const presence = rows.targetWeights.map((weight, i) => {
        const answer = answers[rows.targetSamples[i] as number];
        return weight * (answer?.train[((rows.targetPositions[i] as number) % width) + 1] ?? 0);
      });
      const baseNll = baseNllOf(rows, baseNlls);
      const { ids, targetPositions, targetIds, targetSamples, targetWeights } = rows;
      const feeds = (of: number): Record<string, HostArray> => {
        const lossWeights = new Float32Array(batch / rowsPerSample).fill(1 / of, 0, sampleIndices.length);
        return { ids, targetPositions, targetIds, targetRows, targetPresence: presence, baseNll, lossWeights };
      };
      return {
        bucket: planned.bucket,
        sampleIndices,
        tokenCount: rows.tokenCount,
        targetCount: sampleIndices.length,
        segments: rows.segments,
        // What travels between processes has no functions.
        rows: { targetPositions, targetSamples, targetWeights, targetCount: rows.targetCount },
        targetRows,
        presence,
        baseNll,
        feeds,
      };
    },
  };
}

function rowsOf(sequences: readonly TokenSequence[], sample: number, rowsPerSample: number): Row[] {
  return Array.from({ length: rowsPerSample }, (_, row) => {
    const index = rowsPerSample * sample + row;
    const sequence = elementAt(sequences, index);
    return { sequences: [index], length: sequence.ids.length, targets: countTargets(sequence) };
  });
}

/** Targets of a sequence stand together, in their order. */
function baseNllOf({ targetSamples }: TokenBatch, baseNlls: BaseNlls): Float32Array {
  let [current, at] = [-1, 0];
  return Float32Array.from(targetSamples, sequence => {
    if (sequence !== current) [current, at] = [sequence, 0];
    return sequence < 0 ? 0 : (baseNlls(sequence)?.[at++] ?? 0);
  });
}

export const isAnswerBatch = (batch: Batch): batch is AnswerBatch => 'baseNll' in batch;
