/** Chooses the recompute level: the recipe's, or the fastest that the free memory allows. */

import type { Planner } from '../graph/fusion/plan.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import { availableMemoryBytes, USABLE_SHARE } from '../machine/machine.ts';
import { batchSize, byteSize, countedText } from '../protocol/text/format.ts';
import type { MemoryPlan } from '../protocol/view/run.ts';
import { type MemoryEstimate, type PriceOptions, priceRun } from './memory/predict.ts';
import { type PlanFacts, planRun, type RunPlan } from './run-plan.ts';

export interface RecomputeChoice {
  readonly policy: RecomputePolicy;
  readonly estimate: MemoryEstimate;
  /** The figures of `rowtune estimate`, which does not read the data: one full batch of max_length, at the same level. */
  readonly full: Pick<MemoryEstimate, 'activationBytes' | 'buckets'>;
  /** Free memory of the machine or of the GPU. */
  readonly availableBytes: number;
  /** The part of `availableBytes` that the run may take. */
  readonly usableBytes: number;
  readonly fits: boolean;
}

export interface RecomputeParams {
  /** The facts of the plan. */
  readonly facts: PlanFacts;
  /** Processes of the run that share this machine's memory. */
  readonly sharers?: number | undefined;
  /** Free memory of the GPU that computes, all of which the run may take; undefined if the machine's memory is used. */
  readonly deviceBytes?: number | undefined;
  readonly fuse?: Planner;
  /** Known programs of the engine that runs. */
  readonly known?: PriceOptions['known'];
}

export function chooseRecompute(plan: RunPlan, { facts, sharers = 1, deviceBytes, fuse, known }: RecomputeParams): RecomputeChoice {
  const availableBytes = deviceBytes ?? availableMemoryBytes() / sharers;
  const usableBytes = deviceBytes ?? USABLE_SHARE * availableBytes;
  const estimate = priceRun(plan, { usableBytes, known }, fuse);
  const full = priceRun(planRun({ ...facts, data: undefined, selection: undefined, recompute: estimate.recompute }), { known }, fuse);
  return { policy: estimate.recompute, estimate, full, availableBytes, usableBytes, fits: estimate.totalBytes <= usableBytes };
}

/** Describes the activations of the largest batch; adds the estimate's figure if the data has shorter batches or trains fewer tokens. */
function describeActivations({ estimate, full }: Pick<RecomputeChoice, 'estimate' | 'full'>): string {
  const largest = estimate.buckets.map(({ shape }) => shape).reduce((a, b) => (b.tokens > a.tokens ? b : a));
  const own = `${byteSize(estimate.activationBytes)} activations in batches of ${batchSize(largest)}${countedText(estimate.source)}`;
  const [counted] = full.buckets;
  if (counted === undefined || full.activationBytes === estimate.activationBytes) return own;
  const [shape, fullShape] = [batchSize(largest), batchSize(counted.shape)];
  return `${own} (${byteSize(full.activationBytes)} ${shape === fullShape ? 'if every token is trained' : `in a full batch of ${fullShape}`}, as rowtune estimate counts)`;
}

export function describeRecompute(
  { recompute }: Pick<RunPlan, 'recompute'>,
  { policy, estimate, full, availableBytes, usableBytes, fits }: RecomputeChoice,
): string {
  const { totalBytes, weightsBytes, optimizerBytes, offloadedBytes, engineOverheadBytes } = estimate;
  const split = `${byteSize(weightsBytes)} weights, ${byteSize(optimizerBytes)} optimizer, ${describeActivations({ estimate, full })}, ${byteSize(engineOverheadBytes)} engine`;
  const elsewhere = offloadedBytes > 0 ? `, plus ${byteSize(offloadedBytes)} stored elsewhere` : '';
  const isAll = usableBytes === availableBytes;
  const memory = `about ${byteSize(totalBytes)} (${split}) of ${byteSize(availableBytes)} free${isAll ? ' on the GPU' : ''}${elsewhere}`;
  if (recompute !== 'auto') return `recompute: ${policy}; ${memory}`;
  return fits
    ? `recompute: ${policy}, the fastest that ${isAll ? 'fits' : 'takes at most half of the free memory'}; ${memory}`
    : `recompute: ${policy}, the leanest, takes more than ${isAll ? 'the GPU has' : 'half of the free memory'}; ${memory}. A smaller batch or max_length takes less`;
}

/** Returns the bytes that tuning holds throughout the run in addition to the model's own weights. */
export const tuningBytes = ({ trainedBytes, gradientBytes, optimizerBytes }: MemoryEstimate): number =>
  trainedBytes + gradientBytes + optimizerBytes;

/** Returns the content of memory.json, to be compared with the measured memory. */
export function memoryPlan(
  { policy, estimate, availableBytes, usableBytes, fits }: RecomputeChoice,
  measured: Pick<MemoryPlan, 'device' | 'baselineBytes' | 'held'>,
): MemoryPlan {
  const { weightsBytes, trainedBytes, gradientBytes, optimizerBytes, offloadedBytes } = estimate;
  const { activationBytes, source, engineOverheadBytes, totalBytes } = estimate;
  const held = { weightsBytes, trainedBytes, gradientBytes, optimizerBytes, offloadedBytes };
  const predicted = { ...held, activationBytes, source, engineOverheadBytes, totalBytes };
  return { predicted, recompute: policy, ...measured, availableBytes, usableBytes, fits };
}
