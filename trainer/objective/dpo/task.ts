/** Direct preference optimization. */
import { dpoLoss } from '../preference/pair-loss.ts';
import { preferenceTask } from '../preference/preference-task.ts';
import type { TaskOf } from '../task-setup.ts';

export const task: TaskOf = (model, { preference }, inputs) => {
  if (model.kind !== 'causal') throw new Error(`${model.family} writes no answers`);
  return preferenceTask(model, { judge: dpoLoss(preference), ...inputs });
};
