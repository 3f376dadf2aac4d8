/** Makes the paths of a recipe absolute, so that they mean the same from any folder; a run folder stores this form. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Recipe } from '../protocol/recipe-schema.ts';

/** A model that is not a path from here is a hub name and stays unchanged. */
export function withAbsolutePaths(recipe: Recipe, baseDir: string): Recipe {
  const absolute = (file: string): string => path.resolve(baseDir, file);
  const { data, importance, benchmarks } = recipe;
  return {
    ...recipe,
    model: existsSync(absolute(recipe.model)) ? absolute(recipe.model) : recipe.model,
    data: { ...data, train: data.train.map(absolute), eval: data.eval.map(absolute) },
    benchmarks: Object.fromEntries(Object.entries(benchmarks).map(([task, file]) => [task, absolute(file)])),
    importance: { ...importance, scores: importance.scores === undefined ? undefined : absolute(importance.scores) },
  };
}
