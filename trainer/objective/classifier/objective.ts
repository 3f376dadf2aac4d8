/** Classifiers and regressions: one label, or one number, for a text or an image. */
import type { Objective } from '../task-setup.ts';
import { classifierTask } from './classifier-task.ts';

const task: Objective['task'] = model => {
  if (model.kind !== 'classifier') throw new Error(`${model.family} tells no labels apart`);
  return classifierTask(model);
};

// Estimates need the task alone, and no reader of data.
export const texts: Objective = {
  task,
  setUp: async (params, part) => (await import('./classifier-setup.ts')).setUpTexts(params, part),
};
export const images: Objective = {
  task,
  setUp: async (params, part) => (await import('./classifier-setup.ts')).setUpImages(params, part),
};
