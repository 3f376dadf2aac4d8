/** Checks that a resumed run finds the weights and the data with which it began. */
import { type DataDigest, describeDifference, sampleCount } from '../../data/data-digest.ts';
import type { Base } from '../../job/open-base.ts';
import { RunError } from '../../run-error.ts';
import type { PrepareParams } from './prepared.ts';

/** Checks that the base weights are those with which the run began. @throws RunError 'checkpoint-mismatch' */
export function checkBase({ checkpoint, recipe }: PrepareParams, { fingerprint }: Base): void {
  if (checkpoint && checkpoint.state.baseFingerprint !== fingerprint)
    throw new RunError(
      'checkpoint-mismatch',
      `the weights of ${recipe.model} have changed since the run began`,
      'Restore the old weights, or start a new run',
    );
}

/** Checks that the samples are those with which the run began: its position in the data, and so every further batch, refers to them. */
export function checkData({ checkpoint, job }: PrepareParams, { train, held }: DataDigest): void {
  const before = checkpoint?.state.data;
  if (before === undefined) return;
  const changed = describeDifference(before.train, train);
  // The order of samples depends only on their number.
  const isRepaired =
    checkpoint?.state.stoppedAtSample && checkpoint.state.batching === 3 && sampleCount(before.train) === sampleCount(train);
  if (changed !== undefined && isRepaired)
    job.log(
      'warning',
      'the training data has changed since the run stopped at a sample that could not be used: further updates read it as it is now',
    );
  else if (changed !== undefined)
    throw new RunError(
      'checkpoint-mismatch',
      `the training data is not what the run began with (${changed})`,
      'Restore the old data, or start a new run',
    );
  if (describeDifference(before.held, held) !== undefined)
    job.log('warning', 'the held-out data has changed since the checkpoint: evaluations before and after it use different samples');
}
