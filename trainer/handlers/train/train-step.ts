/** One update: runs its batches through the program, then the optimizer. */

import { type Batch, type DataCursor, stepAt } from '../../data/batch/batches.ts';
import type { HostArray } from '../../graph/types.ts';
import { atLeast, elementAt } from '../../narrow.ts';
import { hashSeed } from '../../random.ts';
import { runCachedBatch } from '../../train/cached-batch.ts';
import { addSums, type MeasureSums } from '../../train/measure-sums.ts';
import { optimizerFeeds } from '../../train/optimizer.ts';
import { runOnEach } from '../../train/run-on-each.ts';
import { miniBatches, trainSignature } from '../../train/train-passes.ts';
import { APPLY } from '../../train/train-program.ts';
import { accumulates } from '../../train/training-params.ts';
import type { Prepared } from './prepared.ts';
import { readBase } from './read-base.ts';

export interface StepResult {
  /** Mean loss over all targets of the update, measured before it. */
  readonly loss: number;
  /** Global norm of the gradients, before clipping. */
  readonly gradNorm: number;
  readonly tokens: number;
  readonly targets: number;
  /** Measures of the samples, before the update. */
  readonly measures: MeasureSums;
}

/** The parts of a prepared run that an update uses. */
export type StepParts = Pick<Prepared, 'session' | 'sources' | 'plan' | 'recipe' | 'measure' | 'measureWhole' | 'ranks'>;

/** An update whose runs were all started. */
export interface BegunStep {
  readonly next: DataCursor;
  readonly result: Promise<StepResult>;
}

type Outputs = Readonly<Record<string, HostArray>>;

/** The loss and the measures of a batch, or of the part of it that belongs to one process or device. */
interface BatchResult {
  readonly loss: number;
  readonly measures: MeasureSums;
}

const resultOf = (batch: Batch, outputs: Outputs, measure: StepParts['measure']): BatchResult => ({
  loss: outputs.loss?.[0] ?? Number.NaN,
  measures: measure ? measure(batch, outputs) : {},
});

/** Combines the results of two parts of a batch. */
const joinResults = (one: BatchResult, other: BatchResult): BatchResult => ({
  loss: one.loss + other.loss,
  measures: addSums(one.measures, other.measures),
});

/** Combines the results of two parts for each batch. */
const joinParts = (some: readonly BatchResult[], others: readonly BatchResult[]): BatchResult[] =>
  some.map((one, i) => joinResults(one, elementAt(others, i)));

const sumOf = <T>(values: readonly T[], of: (value: T) => number): number => values.reduce((sum, value) => sum + of(value), 0);

/**
 * Reads the batches of an update and starts its runs. If the session runs ahead, the next update may begin as soon as this one has begun:
 * nothing here waits for the last loss.
 * @param step number of the update, from 1
 */
export async function beginStep(prepared: StepParts, cursor: DataCursor, step: number, learningRate: number): Promise<BegunStep> {
  const { session, sources, plan, recipe, measure, measureWhole, ranks } = prepared;
  const { accumulationSteps, optimizer, task } = plan;
  const isApart = accumulates(plan);
  const parts = await Promise.all(sources.map(source => stepAt(source, cursor, accumulationSteps)));
  const [{ next, batches: ofFirst }] = atLeast(parts, 1);
  /** Each batch of the update as the parts of the devices. */
  const batches = ofFirst.map((_, i) => parts.map(part => elementAt(part.batches, i)));
  const all = batches.flat();
  const counts = [
    sumOf(parts, ({ targetCount }) => targetCount),
    sumOf(all, ({ tokenCount }) => tokenCount),
    sumOf(all, ({ furtherTargets = 0 }) => furtherTargets),
  ];
  // The loss is the mean over the targets of the whole batch, on all processes and devices.
  const [targets = 0, tokens = 0, furtherTargets = 0] = ranks ? ranks.sum(counts) : counts;
  const scalars = optimizerFeeds(optimizer, learningRate, step);
  await readBase(prepared, batches);
  const runs: Promise<readonly Outputs[]>[] = [];
  for (const [i, each] of batches.entries()) {
    const [batch] = atLeast(each, 1);
    // At most two runs are in progress, which bounds the memory of feeds.
    await runs.at(session.runsAhead ? -2 : -1);
    const feeds = each.map(part => part.feeds(targets, furtherTargets));
    const seedOf = (...place: readonly number[]): Int32Array => dropoutSeed(recipe.seed, step, i, ...place);
    if (task.cached) {
      // No loss of this kind is trained on several devices.
      const rows = batch.sampleIndices.length * (task.rowsPerSample ?? 1);
      // Mini-batches are numbered over all processes; each has the same number.
      const first = (ranks?.rank ?? 0) * miniBatches(task.cached, batch.bucket).length;
      const part = { shape: batch.bucket, rows, feeds: elementAt(feeds, 0), seedOf: (miniBatch: number) => seedOf(first + miniBatch) };
      runs.push(handled(runCachedBatch(session, task.cached, part).then(outputs => [outputs])));
      await runs.at(-1);
    } else {
      const further = { seed: seedOf(), ...(isApart ? {} : scalars) };
      runs.push(
        handled(
          runOnEach(
            session,
            trainSignature(batch.bucket),
            feeds.map(own => ({ ...own, ...further })),
          ),
        ),
      );
    }
  }
  if (!session.runsAhead) await runs.at(-1);
  const last = isApart ? handled(session.run(APPLY, scalars).then(outputs => [outputs])) : runs.at(-1);
  const result = async (): Promise<StepResult> => {
    const found: BatchResult[] = [];
    for (const [i, each] of batches.entries()) {
      const outputs = (await runs[i]) ?? [];
      found.push(each.map((batch, part) => resultOf(batch, outputs[part] ?? {}, measure)).reduce(joinResults));
    }
    const gradNorm = (await last)?.[0]?.gradNorm?.[0] ?? Number.NaN;
    for (const each of batches) for (const [part, batch] of each.entries()) elementAt(sources, part).release?.(batch);
    const whole = ranks ? ranks.all(found).reduce(joinParts) : found;
    const measures = whole.map(one => (measureWhole ? measureWhole(one.measures) : one.measures)).reduce(addSums, {});
    return { loss: sumOf(whole, one => one.loss), gradNorm, tokens, targets, measures };
  };
  return { next, result: handled(result()) };
}

/** Marks a promise as handled: it may fail before it is awaited. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** The dropout seed: a separate random stream for each batch or mini-batch; the second word separates layers. */
const dropoutSeed = (seed: number, ...place: readonly number[]): Int32Array =>
  Int32Array.of(hashSeed(seed, `dropout ${place.join(' ')}`) | 0, 0);
