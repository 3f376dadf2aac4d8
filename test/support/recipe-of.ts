/** A recipe from settings alone. */
import { parseRecipe } from '../../trainer/protocol/parse-recipe.ts';
import type { Recipe } from '../../trainer/protocol/recipe-schema.ts';

/** @param overrides settings as `key=value` @throws Error with everything that is wrong with them */
export function recipeOf(...overrides: readonly string[]): Recipe {
  const { recipe, problems } = parseRecipe('', { overrides });
  if (recipe) return recipe;
  throw new Error(problems.map(({ message }) => message).join('; '));
}
