/** Parses recipes that must be valid. */
import { type ParseOptions, parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';

/** @throws Error with all problems */
export function recipeIn(text: string, options: ParseOptions = {}): Recipe {
  const { recipe, problems } = parseRecipe(text, options);
  if (recipe) return recipe;
  throw new Error(problems.map(({ message }) => message).join('; '));
}

/** @param overrides settings as `key=value` @throws Error with all problems */
export const recipeOf = (...overrides: readonly string[]): Recipe => recipeIn('', { overrides });
