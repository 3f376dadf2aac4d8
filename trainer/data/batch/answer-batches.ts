/** Batches of samples that have one or several answers. Each answer takes a row, and the answers of a sample are in neighboring rows. */

import type { HostArray } from '../../graph/types.ts';
import { elementAt } from '../../narrow.ts';
import type { TokenSequence } from '../types.ts';
import { countTargets } from '../types.ts';
import { type BatchPlan, type BatchSettings, planBatches, type Row, type SampleSize } from './batch-plan.ts';
import { type Batch, type BatchSource, type TokenBatch, tokenSource } from './batches.ts';
import { withRowsPerSample } from './rows-per-sample.ts';

/** A batch of answers. `rows` has the targets of the rows; `targetCount` counts samples. */
export interface AnswerBatch extends Batch {
  readonly rows: Pick<TokenBatch, 'targetPositions' | 'targetSamples' | 'targetWeights' | 'targetCount'>;
  /** int32 [targets] the row of each target. */
  readonly targetRows: Int32Array;
  /** [targets] 1 for targets of an answer, 0 for targets of a prompt and for slots that only fill the shape. */
  readonly presence: Float32Array;
  /** The NLL under the base model as in `Batch`; 0 if it is unknown or not computed yet. */
  readonly baseNll: Float32Array;
}

/**
 * Returns the NLL of each target of a sequence under the base model. The sequence number is rows per sample · sample + row within the
 * sample.
 */
export type BaseNlls = (sequence: number) => Float32Array | undefined;

/** The size of a sample whose answers take one row each: the longest answer, and the targets of all answers. */
export const sizeOfAnswers = (answers: readonly TokenSequence[]): SampleSize => ({
  length: Math.max(...answers.map(({ ids }) => ids.length)),
  targets: answers.reduce((sum, answer) => sum + countTargets(answer), 0),
});

/** The number of tokens of all answers of a sample. */
export const tokensOf = (answers: readonly TokenSequence[]): number => answers.reduce((sum, { ids }) => sum + ids.length, 0);

/** Plans batches with one row for each answer of a sample. @param samples at least one; all have the same number of answers */
export function planAnswers(samples: readonly (readonly TokenSequence[])[], settings: BatchSettings): BatchPlan {
  const plan = planBatches(samples.map(sizeOfAnswers), settings);
  const rowsPerSample = samples[0]?.length ?? 1;
  return {
    ...withRowsPerSample(plan, rowsPerSample, sample => tokensOf(elementAt(samples, sample))),
    rows: plan.rows.map(row => ({ ...row, targets: 1 })),
  };
}

export interface AnswerSourceParams {
  /** A plan whose batches have a row for each answer. */
  readonly plan: BatchPlan;
  /** The sequences, sample by sample. */
  readonly sequences: readonly TokenSequence[];
  readonly rowsPerSample: number;
  /** The same sequences with only the answers as targets; if left out, all targets belong to answers. */
  readonly answers?: readonly TokenSequence[];
  readonly padId: number;
  readonly baseNlls?: BaseNlls | undefined;
  /** Returns further feeds of a batch of these sequences, if there are any. */
  readonly further?: FurtherFeeds | undefined;
}

export type FurtherFeeds = (batch: TokenBatch, sequences: readonly TokenSequence[]) => Promise<Readonly<Record<string, HostArray>>>;

/**
 * Returns a source with these feeds: `ids` int32 [batch, tokens]; `targetPositions`, `targetIds` and `targetRows` (the row of each target),
 * int32 [targets]; `targetPresence` [targets], 1 for targets of an answer; `baseNll` [targets]; `lossWeights` [batch / rows per sample], 1
 * / the samples of the update, or 0.
 */
export function answerSource(params: AnswerSourceParams): BatchSource<AnswerBatch> {
  const { plan, sequences, rowsPerSample, answers = sequences, padId, baseNlls = () => undefined, further } = params;
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
      const others = await further?.(rows, sequences);
      const { ids, targetPositions, targetIds, targetSamples, targetWeights } = rows;
      const feeds = (of: number): Record<string, HostArray> => {
        const lossWeights = new Float32Array(batch / rowsPerSample).fill(1 / of, 0, sampleIndices.length);
        return { ids, targetPositions, targetIds, targetRows, targetPresence: presence, baseNll, lossWeights, ...others };
      };
      return {
        bucket: planned.bucket,
        sampleIndices,
        tokenCount: rows.tokenCount,
        targetCount: sampleIndices.length,
        segments: rows.segments,
        // Only plain data, no functions: this object is sent between processes.
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

/** The targets of a sequence are contiguous and in order. */
function baseNllOf({ targetSamples }: TokenBatch, baseNlls: BaseNlls): Float32Array {
  let [current, at] = [-1, 0];
  return Float32Array.from(targetSamples, sequence => {
    if (sequence !== current) [current, at] = [sequence, 0];
    return sequence < 0 ? 0 : (baseNlls(sequence)?.[at++] ?? 0);
  });
}

export const isAnswerBatch = (batch: Batch): batch is AnswerBatch => 'baseNll' in batch;
