/** Sentence embeddings. */
import type { TaskOf } from '../task-setup.ts';
import { embeddingTask } from './embedding-task.ts';

export const task: TaskOf = (model, { embedding }) => {
  if (model.kind !== 'classifier') throw new Error(`${model.family} gives no vectors of texts`);
  return embeddingTask(model, embedding);
};
