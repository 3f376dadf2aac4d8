/** One update: its batches through the program, then the optimizer. */

import { type DataCursor, stepAt } from '../../data/batch/batches.ts';
import type { HostArray } from '../../graph/types.ts';
import { hashSeed } from '../../random.ts';
import { addSums, type MeasureSums } from '../../train/measure-sums.ts';
import { optimizerFeeds } from '../../train/optimizer.ts';
import { APPLY, trainSignature } from '../../train/train-program.ts';
import type { Prepared } from './prepare.ts';

export interface StepResult {
  /** Mean loss over all targets of the update, before it. */
  readonly loss: number;
  /** Global norm of the gradients, before clipping. */
  readonly gradNorm: number;
  readonly tokens: number;
  readonly targets: number;
  /** Measures of the samples, before the update. */
  readonly measures: MeasureSums;
  readonly next: DataCursor;
}

/** @param step number of the update, from 1 */
export async function trainStep(prepared: Prepared, cursor: DataCursor, step: number, learningRate: number): Promise<StepResult> {
  const { session, source, plan, recipe, measure, ranks } = prepared;
  const { accumulationSteps, optimizer } = plan;
  const { batches, targetCount: ownTargets, next } = await stepAt(source, cursor, accumulationSteps);
  const ownTokens = batches.reduce((sum, batch) => sum + batch.tokenCount, 0);
  // A loss is the mean over the targets of the whole batch, wherever they are.
  const [targetCount = 0, tokens = 0] = ranks ? ranks.sum([ownTargets, ownTokens]) : [ownTargets, ownTokens];
  const scalars: Record<string, HostArray> = {};
  for (const [name, value] of Object.entries(optimizerFeeds(optimizer, learningRate, step))) scalars[name] = Float32Array.of(value);
  let loss = 0;
  let measures: MeasureSums = {};
  let outputs: Readonly<Record<string, HostArray>> = {};
  for (const [i, batch] of batches.entries()) {
    const feeds = { ...batch.feeds(targetCount, batches), seed: dropoutSeed(recipe.seed, step, i) };
    outputs = await session.run(trainSignature(batch.bucket), accumulationSteps > 1 ? feeds : { ...feeds, ...scalars });
    loss += outputs.loss?.[0] ?? Number.NaN;
    if (measure) measures = addSums(measures, measure(batch, outputs));
  }
  if (accumulationSteps > 1) outputs = await session.run(APPLY, scalars);
  if (ranks) [loss = Number.NaN] = ranks.sum([loss]);
  return { loss, gradNorm: outputs.gradNorm?.[0] ?? Number.NaN, tokens, targets: targetCount, measures, next };
}

/** A separate random stream for each batch; the second word separates layers. */
const dropoutSeed = (seed: number, step: number, batch: number): Int32Array =>
  Int32Array.of(hashSeed(seed, `dropout ${step} ${batch}`) | 0, 0);
