/**
 * Batches of judged answers for losses with a reference point: the mean log-ratio of answers to mismatched prompts. As in TRL, each prompt
 * is followed by the answer of the previous sample of its batch. A batch therefore has the same samples in every epoch, and the
 * log-probabilities of the base model are computed once.
 */
import { elementAt, lastOf } from '../../narrow.ts';
import type { TokenSequence } from '../types.ts';
import { planAnswers, sizeOfAnswers, tokensOf } from './answer-batches.ts';
import { type BatchPlan, type BatchSettings, partsOf, planBatches, type Row, targetsOf } from './batch-plan.ts';
import { withRowsPerSample } from './rows-per-sample.ts';

/** Two rows: the prompt with its own answer, and below it the prompt with the answer of another sample. */
export const JUDGED_ROWS = 2;

/** The samples of each whole batch, taken from the first epoch of a plan with one row per sample. */
export const fixedBatches = (answers: readonly TokenSequence[], settings: BatchSettings): number[][] =>
  planAnswers(
    answers.map(answer => [answer]),
    { ...settings, parts: undefined, batchSize: settings.batchSize * (settings.parts?.count ?? 1) },
  )
    .epoch(0)
    .map(({ rows }) => rows.flatMap(row => row.sequences));

/**
 * Pairs each answer with its mismatched answer. A sample that is alone in its batch gets the last answer of the previous batch.
 * @param batches sample indices of each batch; at least two samples overall
 */
export function withMismatched(
  answers: readonly TokenSequence[],
  batches: readonly (readonly number[])[],
  maxLength: number,
): TokenSequence[][] {
  const rows = answers.map(answer => [answer]);
  for (const [i, batch] of batches.entries())
    for (const [place, sample] of batch.entries()) {
      const other = place > 0 ? elementAt(batch, place - 1) : lastOf(batch.length > 1 ? batch : elementAt(batches, i - 1));
      elementAt(rows, sample).push(mismatched(elementAt(answers, sample), elementAt(answers, other), maxLength));
    }
  return rows;
}

function mismatched(asked: TokenSequence, answered: TokenSequence, maxLength: number): TokenSequence {
  const [prompt, start] = [asked.train.indexOf(1), answered.train.indexOf(1)];
  const join = (a: Iterable<number>, b: Iterable<number>): number[] => [...a, ...b].slice(0, maxLength);
  return {
    ids: Int32Array.from(join(asked.ids.subarray(0, prompt), answered.ids.subarray(start))),
    train: Uint8Array.from(join(asked.train.subarray(0, prompt), answered.train.subarray(start))),
    // All images belong to the prompt, which fits.
    ...(asked.images && { images: asked.images }),
  };
}

/** A plan with fixed batches, or one part of each, in a different order in each epoch. @param samples the rows of each sample */
export function planFixed(
  samples: readonly (readonly TokenSequence[])[],
  batches: readonly (readonly number[])[],
  settings: BatchSettings,
): BatchPlan {
  const rowOf = (sample: number): Row => ({ sequences: [sample], ...sizeOfAnswers(elementAt(samples, sample)) });
  const divided = batches.map(batch => partsOf(batch.map(rowOf), settings));
  const sizes = divided.map(parts => ({
    length: Math.max(...parts.flat().map(({ length }) => length)),
    targets: Math.max(...parts.map(targetsOf)),
  }));
  const plan = planBatches(sizes, { ...settings, parts: undefined, batchSize: 1 });
  const ownOf = (batch: number): readonly Row[] => divided[batch]?.[settings.parts?.own ?? 0] ?? [];
  const widened = withRowsPerSample(plan, JUDGED_ROWS * settings.batchSize, batch =>
    ownOf(batch).reduce((sum, { sequences }) => sum + tokensOf(elementAt(samples, elementAt(sequences, 0))), 0),
  );
  return {
    ...widened,
    rows: samples.map((_, sample) => ({ ...rowOf(sample), targets: 1 })),
    epoch: number =>
      widened.epoch(number).map(planned => ({
        ...planned,
        rows: planned.rows.flatMap(({ sequences }) => sequences.flatMap(ownOf)),
      })),
  };
}
