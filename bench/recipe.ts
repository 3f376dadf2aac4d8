/** Recipes of measurements, whose weights and batches come from elsewhere. */
import { parseRecipe } from '../trainer/protocol/recipe/parse-recipe.ts';
import type { Recipe } from '../trainer/protocol/recipe/recipe-schema.ts';

/** The recipe of these lines, with rows unless one of them says otherwise. It names a model and data that nobody reads. @throws Error with every problem */
export function benchRecipe(lines: string): Recipe {
  const unit = /^trains:/m.test(lines) ? '' : 'trains: rows\n';
  const { recipe, problems } = parseRecipe(`model: base\ndata: {train: [train.jsonl]}\n${unit}${lines}\n`);
  if (recipe) return recipe;
  throw new Error(problems.map(({ message }) => message).join('\n'));
}
