/** Recipes of measurements, whose weights and batches come from elsewhere. */
import { parseRecipe } from '../trainer/protocol/recipe/parse-recipe.ts';
import type { Recipe } from '../trainer/protocol/recipe/recipe-schema.ts';

/** The recipe of these lines. It names a model and data that nobody reads. @throws Error with every problem */
export function benchRecipe(lines: string): Recipe {
  const { recipe, problems } = parseRecipe(`model: base\ndata: {train: [train.jsonl]}\n${lines}\n`);
  if (recipe) return recipe;
  throw new Error(problems.map(({ message }) => message).join('\n'));
}
