/** What each objective of the catalog brings. */
import { type ObjectiveName, objectiveCatalog, objectiveNames } from '../catalog/objectives.ts';
import type { AnyModel } from '../model/model-spec.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';
import type { Task } from '../train/task.ts';
import { causal } from './causal/objective.ts';
import { images, texts } from './classifier/objective.ts';
import type { Objective, SetUpTask } from './task-setup.ts';

const objectives: Readonly<Record<ObjectiveName, Objective>> = {
  causal_lm: causal,
  sequence_classification: texts,
  sequence_regression: texts,
  image_classification: images,
};

export const setUpTask: SetUpTask = (params, part) => objectives[params.recipe.task].setUp(params, part);

/** The task of a recipe. For a model of another kind than the recipe's, which no run takes, that of the first objective of its kind. */
export function taskOf(model: AnyModel, recipe: Pick<Recipe, 'packing' | 'task'>): Task {
  const isOfKind = (name: ObjectiveName): boolean => objectiveCatalog[name].model === model.kind;
  const name = isOfKind(recipe.task) ? recipe.task : objectiveNames.find(isOfKind);
  return objectives[name ?? recipe.task].task(model, recipe);
}
