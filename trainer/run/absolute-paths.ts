/** Makes the paths of a recipe absolute, so that they mean the same from any folder; a run folder stores this form. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { isDataSetName } from '../files/data-set-name.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';

/** Names of models and data sets on the hub, which are no paths from here, stay unchanged. */
export function withAbsolutePaths(recipe: Recipe, baseDir: string): Recipe {
  const absolute = (file: string): string => path.resolve(baseDir, file);
  const dataPath = (written: string): string => (isDataSetName(written, baseDir) ? written : absolute(written));
  const { data, importance, benchmarks } = recipe;
  return {
    ...recipe,
    model: existsSync(absolute(recipe.model)) ? absolute(recipe.model) : recipe.model,
    data: { ...data, train: data.train.map(dataPath), eval: data.eval.map(dataPath) },
    benchmarks: Object.fromEntries(Object.entries(benchmarks).map(([task, file]) => [task, absolute(file)])),
    importance: { ...importance, scores: importance.scores === undefined ? undefined : absolute(importance.scores) },
  };
}
