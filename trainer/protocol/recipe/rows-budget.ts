/** How many rows or columns a recipe trains: what the run chooses, and what the heatmap and the estimate show. */
import { methodCatalog } from '../../catalog/methods.ts';
import type { Recipe } from './recipe-schema.ts';

type Budget = { readonly r: number } | { readonly ratio: number };
type BudgetSettings = Pick<Recipe, 'method' | 'trains' | 'r' | 'ratio' | 'dependencies'>;

/** The part of each weight that a recipe chooses; a method that knows no columns chooses rows. */
export const trainedUnit = ({ method, trains }: Pick<Recipe, 'method' | 'trains'>): Recipe['trains'] =>
  methodCatalog[method].trainsColumns ? trains : 'rows';

/** The part of each weight that a recipe's measure scores: coupled columns go with the rows that they read. */
export const scoredUnit = (recipe: Pick<Recipe, 'method' | 'trains'>): 'rows' | 'columns' =>
  trainedUnit(recipe) === 'columns' ? 'columns' : 'rows';

/** Whether groups of layers share a choice of channels. */
export const couplesLayers = (recipe: Pick<Recipe, 'dependencies' | 'method' | 'trains'>): boolean =>
  hasDependencies(recipe) || trainedUnit(recipe) === 'coupled';

/** Whether columns and norm entries are trained with the rows that they depend on. */
export const hasDependencies = (recipe: Pick<Recipe, 'dependencies' | 'method' | 'trains'>): boolean =>
  recipe.dependencies && methodCatalog[recipe.method].hasDependencies && trainedUnit(recipe) === 'rows';

/** Whether rows or columns of attention are chosen by whole heads. */
export const choosesHeads = (recipe: Pick<Recipe, 'dependencies' | 'method' | 'trains' | 'importance'>): boolean =>
  recipe.importance.heads && methodCatalog[recipe.method].chooses === 'rows' && !hasDependencies(recipe);

/** With dependencies half of what the recipe says: the columns and entries that come along make up about as many numbers. */
export function rowsBudget(recipe: BudgetSettings): Budget {
  const { r = 0, ratio } = recipe;
  const isHalved = hasDependencies(recipe);
  if (ratio !== undefined) return { ratio: isHalved ? ratio / 2 : ratio };
  return { r: isHalved ? Math.max(1, Math.round(r / 2)) : r };
}
