/** Checks that a run is still learning: ends it if the loss is not a number, or far above its initial value. */
import type { Evaluation } from '../../job/evaluate.ts';
import type { TrainerState } from '../../run/checkpoint/checkpoint.ts';
import { RunError } from '../../run-error.ts';
import type { StepResult } from './train-step.ts';

export interface LossLimit {
  /** The largest allowed loss, as a multiple of the usual loss. */
  readonly maxRatio: number;
  /** The state before the update. */
  readonly state: Pick<TrainerState, 'step' | 'firstLoss' | 'before'>;
}

/**
 * @param step the update of the result
 * @throws RunError 'loss-diverged' if the loss or the gradient is not finite, or the loss far above its initial value
 */
export function checkLoss({ loss, gradNorm }: Pick<StepResult, 'loss' | 'gradNorm'>, step: number, { maxRatio, state }: LossLimit): void {
  const usual = usualLoss(state.firstLoss, state.before);
  const limit = state.step === 0 ? Number.POSITIVE_INFINITY : maxRatio * usual;
  if (Number.isFinite(loss) && Number.isFinite(gradNorm) && loss <= limit) return;
  const what = Number.isFinite(loss)
    ? Number.isFinite(gradNorm)
      ? `the loss is ${loss.toPrecision(4)}, more than ${maxRatio} times its initial value (${usual.toPrecision(4)})`
      : 'the gradient is not a finite number'
    : 'the loss is not a finite number';
  throw diverged(`${what} at step ${step}`);
}

/**
 * The loss to compare with. The first batch may be easy by chance, or the model already good, so it is at least the initial held-out loss
 * and one nat.
 */
export const usualLoss = (firstLoss: number, before: Pick<Evaluation, 'loss'> | undefined): number =>
  Math.max(firstLoss, before?.loss ?? 0, 1);

export const diverged = (what: string): RunError =>
  new RunError(
    'loss-diverged',
    `training was stopped: ${what}`,
    'Lower learning_rate, add a warm-up, or check the data around this step; earlier checkpoints are valid',
  );
