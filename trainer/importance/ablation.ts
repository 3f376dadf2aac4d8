/** The loss of each class after chosen rows or columns are set to zero, or reset to their values in other weights. */

import { type Batch, type BatchSource, epochBatches, isTokenBatch } from '../data/batch/batches.ts';
import type { Engine, Session } from '../engine/engine.ts';
import { Graph } from '../graph/graph.ts';
import { assemble, type Program } from '../graph/program.ts';
import type { HostArray } from '../graph/types.ts';
import type { Model } from '../model/model-spec.ts';
import { Tracer } from '../model/tracer.ts';
import type { WeightSource } from '../model/weight-source.ts';
import { copyUnits, type WeightStorage, zeroUnits } from '../model/weight-storage.ts';
import { withInitial } from '../model/weight-stream.ts';
import { required } from '../narrow.ts';
import type { Selection, TrainedUnit } from '../selection.ts';
import { type BatchShape, shapeName, type Task } from '../train/task.ts';
import { heldWeights } from './held-weights.ts';

export interface AblationParams {
  readonly engine: Engine;
  readonly model: Model;
  readonly task: Task;
  readonly weights: WeightSource;
  readonly source: BatchSource;
  /** How the engine stores the weights; float32 by default. */
  readonly storage?: WeightStorage;
  /** The weights in host memory; none by default. */
  readonly hosted?: Program['places'];
  /** Number of classes to report losses for; 1 without labels. */
  readonly classes: number;
  /** Returns the class of a sample; −1 excludes the sample. */
  readonly classOf: (sample: number) => number;
  /** The kind of unit in the sets. */
  readonly unit: TrainedUnit;
  /** Rows or columns to remove, with one pass over the data for each set; an empty selection leaves the model unchanged. */
  readonly sets: readonly Selection[];
  /** The weights that replace them, such as those before tuning; zeros by default. */
  readonly instead?: WeightSource;
  /** Called once before the work starts, then with progress. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Called between batches; throws if the work should stop. */
  readonly checkStop?: () => void;
}

const signatureOf = (shape: BatchShape): string => `loss/${shapeName(shape)}`;

/**
 * The mean loss over the samples of each class for each set, [sets][classes], where a sample's loss is its mean; NaN for a class without
 * samples.
 */
export async function ablate(params: AblationParams): Promise<number[][]> {
  const { engine, task, source, model, sets, storage, unit } = params;
  const weights = withInitial(model, params.weights);
  const instead = params.instead && withInitial(model, params.instead);
  const traces = source.plan.buckets.map(shape => {
    const graph = new Graph();
    const { nll, losses } = task.evaluation(new Tracer({ graph, storage }), shape);
    // Preference pairs have both: the loss of each pair, and that of each token of their answers.
    const found = losses ?? nll;
    if (!found) throw new Error('the task does not report the loss of each sample');
    return [signatureOf(shape), { graph, outputs: { losses: found }, effects: [] }] as const;
  });
  const session = await engine.compile({ ...assemble(Object.fromEntries(traces)), places: params.hosted });
  try {
    const results: number[][] = [];
    params.onProgress?.(0, sets.length * source.plan.batchesPerEpoch);
    for (const [i, set] of sets.entries()) {
      await session.load(heldWeights(model, without(model, weights, { unit, set, instead }), storage, session.coder));
      results.push(await classLosses(params, session, i));
    }
    return results;
  } finally {
    await session.dispose();
  }
}

async function classLosses(params: AblationParams, session: Session, set: number): Promise<number[]> {
  const { source, classes, classOf, sets, onProgress, checkStop } = params;
  const sums = new Array<number>(classes).fill(0);
  const counts = new Array<number>(classes).fill(0);
  let done = set * source.plan.batchesPerEpoch;
  for await (const batch of epochBatches(source, 0)) {
    checkStop?.();
    const feeds = batch.feeds(1);
    const { losses } = await session.run(signatureOf(batch.bucket), feeds);
    for (const [sample, loss] of sampleLosses(batch, required(losses, 'the loss of each sample'), feeds.weights)) {
      const label = classOf(sample);
      if (label < 0) continue;
      sums[label] = (sums[label] as number) + loss;
      counts[label] = (counts[label] as number) + 1;
    }
    onProgress?.(++done, sets.length * source.plan.batchesPerEpoch);
  }
  return sums.map((sum, label) => sum / (counts[label] as number));
}

/**
 * Maps each sample to its mean loss.
 *
 * @param losses of each target, or of each sample
 * @param weights of the targets, for rows with several
 */
export function sampleLosses(batch: Batch, losses: HostArray, weights: HostArray | undefined): Map<number, number> {
  const sums = new Map<number, { sum: number; weight: number }>();
  const add = (sample: number, target: number, weight: number): void => {
    if (weight === 0) return;
    const before = sums.get(sample) ?? { sum: 0, weight: 0 };
    sums.set(sample, { sum: before.sum + weight * (losses[target] as number), weight: before.weight + weight });
  };
  if (isTokenBatch(batch)) {
    for (const [target, sample] of batch.targetSamples.entries())
      if (sample >= 0) add(sample, target, batch.targetWeights[target] as number);
  } else {
    const perRow = batch.targetsOfSamples ? losses.length / batch.bucket.batch : 1;
    for (const [row, sample] of batch.sampleIndices.entries())
      for (let target = row * perRow; target < (row + 1) * perRow; target++)
        add(sample, target, perRow === 1 ? 1 : Number(required(weights, 'the weights of the targets')[target]));
  }
  return new Map([...sums].map(([sample, { sum, weight }]) => [sample, sum / weight]));
}

/** Returns the weights without these rows and their bias entries, or without these columns. */
function without(
  { modules }: Model,
  weights: WeightSource,
  { unit, set, instead }: { readonly unit: TrainedUnit; readonly set: Selection; readonly instead: WeightSource | undefined },
): WeightSource {
  const chosen = new Map(
    modules.flatMap(({ name, weight, bias }) => {
      const indices = set.get(name);
      if (!indices) return [];
      return (unit === 'rows' && bias ? [weight, bias] : [weight]).map(parameter => [parameter.name, indices] as const);
    }),
  );
  return {
    tensors: weights.tensors,
    async readFloat32(name) {
      const values = await weights.readFloat32(name);
      const indices = chosen.get(name);
      if (!indices) return values;
      const rows = weights.tensors.get(name)?.shape[0] ?? values.length;
      const place = { unit, indices };
      return instead ? copyUnits(values, await instead.readFloat32(name), rows, place) : zeroUnits(values, rows, place);
    },
  };
}
