/** Kahneman-Tversky optimization: answers that were judged one by one. */
import { JUDGED_ROWS } from '../../data/batch/judged-batches.ts';
import { preferenceTask } from '../preference/preference-task.ts';
import type { TaskOf } from '../task-setup.ts';
import { hasReferencePoint, ktoLoss } from './kto-loss.ts';

export const task: TaskOf = (model, { preference }, inputs) => {
  if (model.kind !== 'causal') throw new Error(`${model.family} writes no answers`);
  return preferenceTask(model, {
    judge: ktoLoss(preference),
    rowsPerSample: hasReferencePoint(preference) ? JUDGED_ROWS : 1,
    // Mismatched answers only determine the reference point, a constant for the gradient.
    learned: 1,
    ...inputs,
  });
};
