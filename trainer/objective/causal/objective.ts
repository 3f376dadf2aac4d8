/** Language models: predict the next token. */
import type { Objective } from '../task-setup.ts';
import { causalTask } from './causal-task.ts';

export const causal: Objective = {
  task: (model, { packing }) => {
    if (model.kind !== 'causal') throw new Error(`${model.family} predicts no next token`);
    return causalTask(model, { packed: packing });
  },
  // Estimates need the task alone, and no reader of data.
  setUp: async (params, part) => (await import('./causal-setup.ts')).setUpCausal(params, part),
};
