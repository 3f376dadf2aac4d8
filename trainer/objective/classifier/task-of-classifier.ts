/** The tasks with one label, several labels or a number for a text or an image, or a label for each word. */
import type { TaskOf } from '../task-setup.ts';
import { classifierTask } from './classifier-task.ts';

export const taskOfClassifier: TaskOf = model => {
  if (model.kind !== 'classifier') throw new Error(`${model.family} tells no labels apart`);
  return classifierTask(model);
};
