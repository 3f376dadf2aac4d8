/** Odds ratio preference optimization: the next-token loss of the better answer, and its odds compared with the worse one. */
import { oddsRatioLoss } from '../preference/pair-loss.ts';
import { preferenceTask } from '../preference/preference-task.ts';
import type { TaskOf } from '../task-setup.ts';

export const task: TaskOf = (model, { preference }, inputs) => {
  if (model.kind !== 'causal') throw new Error(`${model.family} writes no answers`);
  return preferenceTask(model, { judge: oddsRatioLoss(preference), learnsChosen: true, ...inputs });
};
