/** Simple preference optimization: log-probabilities per token, a margin, and no reference model. */
import { simpoLoss } from '../preference/pair-loss.ts';
import { preferenceTask } from '../preference/preference-task.ts';
import type { TaskOf } from '../task-setup.ts';

export const task: TaskOf = (model, { preference }, inputs) => {
  if (model.kind !== 'causal') throw new Error(`${model.family} writes no answers`);
  return preferenceTask(model, { judge: simpoLoss(preference), ...inputs });
};
