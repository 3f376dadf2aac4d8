/** What the backward pass keeps: as the recipe says, or the fastest way that the free memory allows. */
import { describeMachine } from '../engine/machine.ts';
import { liveness } from '../graph/liveness.ts';
import { RECOMPUTE_POLICIES, type RecomputePolicy } from '../graph/recompute.ts';
import { byteSize } from '../graph/types.ts';
import type { CausalModel } from '../model/model-spec.ts';
import { optimizerState } from '../train/optimizer.ts';
import { type BatchShape, type TrainProgramParams, trainProgram, trainSignature } from '../train/train-program.ts';

/** The rest is for the system, for other programs, and for what an engine takes beyond the live tensors. */
const USABLE_SHARE = 0.5;

export interface RecomputeChoice {
  readonly policy: RecomputePolicy;
  /** Of the live tensors of a step, at most. */
  readonly activationBytes: number;
  /** Weights, optimizer state and gradients held between batches. */
  readonly residentBytes: number;
  readonly availableBytes: number;
  readonly fits: boolean;
}

type ProgramParts = Omit<TrainProgramParams, 'recompute' | 'trainShapes' | 'evalShapes'>;

/** @param shape the largest batch: it decides what fits */
export function chooseRecompute(wanted: RecomputePolicy | 'auto', parts: ProgramParts, shape: BatchShape): RecomputeChoice {
  const { availableBytes } = describeMachine().memory;
  const resident = residentBytes(parts);
  const look = (policy: RecomputePolicy): RecomputeChoice => {
    const program = trainProgram({ ...parts, recompute: policy, trainShapes: [shape], evalShapes: [] });
    const signature = program.signatures[trainSignature(shape)];
    const activationBytes = signature ? liveness(signature).peakBytes : 0;
    const fits = activationBytes + resident <= USABLE_SHARE * availableBytes;
    return { policy, activationBytes, residentBytes: resident, availableBytes, fits };
  };
  if (wanted !== 'auto') return look(wanted);
  let choice = look('none');
  for (const policy of RECOMPUTE_POLICIES) {
    if (policy !== 'none') choice = look(policy);
    if (choice.fits) return choice;
  }
  return choice;
}

const residentBytes = (parts: ProgramParts): number => modelBytes(parts.model) + tuningBytes(parts);

export const modelBytes = (model: CausalModel): number =>
  model.parameters.reduce((sum, { shape }) => sum + byteSize({ shape, dtype: 'float32' }), 0);

/** What tuning holds beside the model's own weights for as long as it runs: factors, optimizer state, gradients between batches. */
export function tuningBytes({ model, attachment, optimizer, accumulationSteps }: ProgramParts): number {
  const own = new Set(model.parameters.map(({ name }) => name));
  return attachment.trainables.reduce((sum, trainable) => {
    const states = optimizerState(optimizer, trainable).reduce((bytes, spec) => bytes + byteSize(spec), 0);
    const factors = own.has(trainable.variable.name) ? 0 : byteSize(trainable.variable);
    return sum + states + factors + (accumulationSteps > 1 ? byteSize({ shape: trainable.shape, dtype: 'float32' }) : 0);
  }, 0);
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

export function describeRecompute(wanted: RecomputePolicy | 'auto', choice: RecomputeChoice): string {
  const { policy, activationBytes, residentBytes: resident, availableBytes } = choice;
  const memory = `about ${megabytes(resident)} for weights and optimizer and ${megabytes(activationBytes)} for a step, of ${megabytes(availableBytes)} free`;
  return wanted === 'auto' ? `recompute: ${policy}, the fastest that fits (${memory})` : `recompute: ${policy} (${memory})`;
}
