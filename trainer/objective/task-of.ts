/** The loss and the evaluation of a model by itself, before any data is read. */
import type { AnyModel } from '../model/model-spec.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';
import type { Task } from '../train/task.ts';
import { causalTask } from './causal/causal-task.ts';
import { classifierTask } from './classifier/classifier-task.ts';

export const taskOf = (model: AnyModel, { packing }: Pick<Recipe, 'packing'>): Task =>
  model.kind === 'causal' ? causalTask(model, { packed: packing }) : classifierTask(model);
