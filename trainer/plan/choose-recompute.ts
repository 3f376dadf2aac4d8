/** What the backward pass keeps: as the recipe says, or the fastest way that the free memory allows. */

import type { Bucket } from '../data/batch/batch-plan.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import type { Base } from '../job/open-base.ts';
import { availableMemoryBytes, USABLE_SHARE } from '../machine/machine.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';
import type { MemoryPlan } from '../protocol/view/run.ts';
import { estimateRecipe, type MemoryEstimate } from './memory/predict.ts';

export interface RecomputeChoice {
  readonly policy: RecomputePolicy;
  readonly estimate: MemoryEstimate;
  readonly availableBytes: number;
  readonly fits: boolean;
}

/** @param buckets the shapes of all training batches: the one that takes the most decides what fits, and each has a program of its own */
export function chooseRecompute(recipe: Recipe, { folder, engine }: Base, buckets: readonly Bucket[]): RecomputeChoice {
  const availableBytes = availableMemoryBytes();
  const usableBytes = USABLE_SHARE * availableBytes;
  const estimate = estimateRecipe({
    recipe,
    headers: { config: folder.config, tensors: folder.weights.tensors },
    buckets,
    engine: engine.description.name,
    device: engine.description.device,
    usableBytes,
  });
  return { policy: estimate.recompute, estimate, availableBytes, fits: estimate.totalBytes <= usableBytes };
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

export function describeRecompute(
  { recompute }: Pick<Recipe, 'recompute'>,
  { policy, estimate, availableBytes, fits }: RecomputeChoice,
): string {
  const { totalBytes, weightsBytes, optimizerBytes, offloadedBytes, activationBytes, engineOverheadBytes } = estimate;
  const split = `${megabytes(weightsBytes)} weights, ${megabytes(optimizerBytes)} optimizer, ${megabytes(activationBytes)} activations, ${megabytes(engineOverheadBytes)} engine`;
  const elsewhere = offloadedBytes > 0 ? `, beside ${megabytes(offloadedBytes)} of offloaded optimizer state` : '';
  const memory = `about ${megabytes(totalBytes)} (${split}) of ${megabytes(availableBytes)} free${elsewhere}`;
  if (recompute !== 'auto') return `recompute: ${policy}; ${memory}`;
  return fits
    ? `recompute: ${policy}, the fastest that takes at most half of the free memory; ${memory}`
    : `recompute: ${policy}, the leanest, takes more than half of the free memory; ${memory}. A smaller batch or max_length takes less`;
}

/** What tuning holds beside the model's own weights for as long as it runs. */
export const tuningBytes = ({ trainedBytes, gradientBytes, optimizerBytes }: MemoryEstimate): number =>
  trainedBytes + gradientBytes + optimizerBytes;

/** What memory.json keeps, to be set beside what is measured. */
export function memoryPlan(
  { policy, estimate, availableBytes, fits }: RecomputeChoice,
  measured: Pick<MemoryPlan, 'device' | 'baselineBytes' | 'held'>,
): MemoryPlan {
  const { weightsBytes, trainedBytes, gradientBytes, optimizerBytes, offloadedBytes, activationBytes, engineOverheadBytes, totalBytes } =
    estimate;
  const held = { weightsBytes, trainedBytes, gradientBytes, optimizerBytes, offloadedBytes };
  const predicted = { ...held, activationBytes, engineOverheadBytes, totalBytes };
  return { predicted, recompute: policy, ...measured, availableBytes, fits };
}
