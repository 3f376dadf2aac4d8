/** Language models: predict the next token. */
import { causalTask } from '../causal/causal-task.ts';
import type { TaskOf } from '../task-setup.ts';

export const task: TaskOf = (model, { packing }, inputs) => {
  if (model.kind !== 'causal') throw new Error(`${model.family} predicts no next token`);
  return causalTask(model, { packed: packing, ...inputs });
};
