/** Recipes for measurements that bring their own weights and batches. */
import { parseRecipe } from '../trainer/protocol/recipe/parse-recipe.ts';
import type { Recipe } from '../trainer/protocol/recipe/recipe-schema.ts';

/**
 * Returns the recipe of these lines, which trains rows by default. It names a model and data that are never read. @throws Error with every
 * problem
 */
export function benchRecipe(lines: string): Recipe {
  const unit = /^trains:/m.test(lines) ? '' : 'trains: rows\n';
  const { recipe, problems } = parseRecipe(`model: base\ndata: {train: [train.jsonl]}\n${unit}${lines}\n`);
  if (recipe) return recipe;
  throw new Error(problems.map(({ message }) => message).join('\n'));
}
