/** The loss and the evaluation of a model on its own, before any data is read. */
import { type ObjectiveName, objectiveCatalog, objectiveNames } from '../catalog/objectives.ts';
import type { AnyModel } from '../model/model-spec.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import type { Task } from '../train/task.ts';
import { tasks } from './tasks.ts';

/**
 * The task of a recipe. For a model of a different kind from the recipe's, which no run accepts, returns the task of the first objective of its
 * kind.
 * @param images true if samples have images
 */
export function taskOf(
  model: AnyModel,
  recipe: Pick<Recipe, 'distillation' | 'embedding' | 'packing' | 'preference' | 'task'>,
  images?: boolean,
): Task {
  const isOfKind = (name: ObjectiveName): boolean => objectiveCatalog[name].model === model.kind;
  // An objective that starts from another kind of model has a head of its own.
  const isUsual = (name: ObjectiveName): boolean => isOfKind(name) && objectiveCatalog[name].startsFrom === undefined;
  const name = isOfKind(recipe.task) ? recipe.task : objectiveNames.find(isUsual);
  return tasks[name ?? recipe.task](model, recipe, { images: images === true && model.kind === 'causal' && model.vision !== undefined });
}
