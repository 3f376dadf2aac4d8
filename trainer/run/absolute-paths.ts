/** Makes the paths of a recipe absolute, so that they mean the same from any folder; a run folder stores this form. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { isDataSetName } from '../files/data-set-name.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';

/** The recipe with absolute paths. Names of models and data sets on the hub, which are not paths from here, stay unchanged. */
export function withAbsolutePaths(recipe: Recipe, baseDir: string): Recipe {
  const absolute = (file: string): string => path.resolve(baseDir, file);
  const dataPath = (written: string): string => (isDataSetName(written, baseDir) ? written : absolute(written));
  const orName = (written: string): string => (existsSync(absolute(written)) ? absolute(written) : written);
  const given = <T>(written: T | undefined, change: (written: T) => T): T | undefined =>
    written === undefined ? undefined : change(written);
  const { data, importance, benchmarks, distillation, eval_generation: answers } = recipe;
  return {
    ...recipe,
    model: orName(recipe.model),
    data: { ...data, train: data.train.map(dataPath), eval: data.eval.map(dataPath) },
    benchmarks: Object.fromEntries(Object.entries(benchmarks).map(([task, file]) => [task, absolute(file)])),
    distillation: {
      ...distillation,
      teacher: given(distillation.teacher, orName),
      logits: given(distillation.logits, absolute),
      eval_logits: given(distillation.eval_logits, absolute),
    },
    eval_generation: { ...answers, reward_model: given(answers.reward_model, orName) },
    importance: { ...importance, scores: given(importance.scores, absolute) },
  };
}
