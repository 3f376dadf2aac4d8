/** One update: its batches through the program, then the optimizer. */

import { type DataCursor, stepAt } from '../../data/batch/batches.ts';
import type { HostArray } from '../../graph/types.ts';
import { elementAt } from '../../narrow.ts';
import { hashSeed } from '../../random.ts';
import { runCachedBatch } from '../../train/cached-batch.ts';
import { addSums, type MeasureSums } from '../../train/measure-sums.ts';
import { optimizerFeeds } from '../../train/optimizer.ts';
import { miniBatches, trainSignature } from '../../train/train-passes.ts';
import { APPLY } from '../../train/train-program.ts';
import { accumulates } from '../../train/training-params.ts';
import type { Prepared } from './prepare.ts';
import { readBase } from './read-base.ts';

export interface StepResult {
  /** Mean loss over all targets of the update, before it. */
  readonly loss: number;
  /** Global norm of the gradients, before clipping. */
  readonly gradNorm: number;
  readonly tokens: number;
  readonly targets: number;
  /** Measures of the samples, before the update. */
  readonly measures: MeasureSums;
}

/** The parts of a prepared run that an update uses. */
export type StepParts = Pick<Prepared, 'session' | 'source' | 'plan' | 'recipe' | 'measure' | 'measureWhole' | 'ranks'>;

/** An update whose every run was asked for. */
export interface BegunStep {
  readonly next: DataCursor;
  readonly result: Promise<StepResult>;
}

type Outputs = Readonly<Record<string, HostArray>>;

/** The loss and the measures of a batch, or of the part of it that one process has. */
interface BatchResult {
  readonly loss: number;
  readonly measures: MeasureSums;
}

/** The results of batches from those of two parts of each. */
const joinParts = (some: readonly BatchResult[], others: readonly BatchResult[]): BatchResult[] =>
  some.map(({ loss, measures }, i) => {
    const other = elementAt(others, i);
    return { loss: loss + other.loss, measures: addSums(measures, other.measures) };
  });

const sumOf = <T>(values: readonly T[], of: (value: T) => number): number => values.reduce((sum, value) => sum + of(value), 0);

/**
 * Reads the batches of an update and asks for its runs. The next update may begin when this one has begun, where the session runs ahead:
 * nothing here waits for the last loss.
 * @param step number of the update, from 1
 */
export async function beginStep(prepared: StepParts, cursor: DataCursor, step: number, learningRate: number): Promise<BegunStep> {
  const { session, source, plan, recipe, measure, measureWhole, ranks } = prepared;
  const { accumulationSteps, optimizer, task } = plan;
  const isApart = accumulates(plan);
  const { batches, targetCount: ownTargets, next } = await stepAt(source, cursor, accumulationSteps);
  const counts = [ownTargets, sumOf(batches, ({ tokenCount }) => tokenCount), sumOf(batches, ({ furtherTargets = 0 }) => furtherTargets)];
  // A loss is the mean over the targets of the whole batch, wherever they are.
  const [targets = 0, tokens = 0, furtherTargets = 0] = ranks ? ranks.sum(counts) : counts;
  const scalars = optimizerFeeds(optimizer, learningRate, step);
  await readBase(prepared, batches);
  const runs: Promise<Outputs>[] = [];
  for (const [i, batch] of batches.entries()) {
    // At most two are on their way, whose feeds are alive.
    await runs.at(session.runsAhead ? -2 : -1);
    const feeds = batch.feeds(targets, furtherTargets);
    const seedOf = (...place: readonly number[]): Int32Array => dropoutSeed(recipe.seed, step, i, ...place);
    if (task.cached) {
      const rows = batch.sampleIndices.length * (task.rowsPerSample ?? 1);
      // Mini-batches are counted over all processes, which have as many each.
      const first = (ranks?.rank ?? 0) * miniBatches(task.cached, batch.bucket).length;
      const part = { shape: batch.bucket, rows, feeds, seedOf: (miniBatch: number) => seedOf(first + miniBatch) };
      runs.push(handled(runCachedBatch(session, task.cached, part)));
      await runs.at(-1);
    } else runs.push(handled(session.run(trainSignature(batch.bucket), { ...feeds, seed: seedOf(), ...(isApart ? {} : scalars) })));
  }
  if (!session.runsAhead) await runs.at(-1);
  const last = isApart ? handled(session.run(APPLY, scalars)) : runs.at(-1);
  const result = async (): Promise<StepResult> => {
    const found: BatchResult[] = [];
    for (const [i, batch] of batches.entries()) {
      const outputs = (await runs[i]) ?? {};
      found.push({ loss: outputs.loss?.[0] ?? Number.NaN, measures: measure ? measure(batch, outputs) : {} });
    }
    const gradNorm = (await last)?.gradNorm?.[0] ?? Number.NaN;
    for (const batch of batches) source.release?.(batch);
    const whole = ranks ? ranks.all(found).reduce(joinParts) : found;
    const measures = whole.map(one => (measureWhole ? measureWhole(one.measures) : one.measures)).reduce(addSums, {});
    return { loss: sumOf(whole, one => one.loss), gradNorm, tokens, targets, measures };
  };
  return { next, result: handled(result()) };
}

/** A promise that may fail before anyone waits for it, and is waited for in its turn. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** A separate random stream for each batch or mini-batch; the second word separates layers. */
const dropoutSeed = (seed: number, ...place: readonly number[]): Int32Array =>
  Int32Array.of(hashSeed(seed, `dropout ${place.join(' ')}`) | 0, 0);
