/** The number of rows or columns that a recipe trains, for the run, the heatmap and the estimate. */
import { methodCatalog } from '../../catalog/methods.ts';
import type { Recipe } from './recipe-schema.ts';

type Budget = { readonly r: number } | { readonly ratio: number };
type BudgetSettings = Pick<Recipe, 'method' | 'trains' | 'r' | 'ratio' | 'dependencies'>;

/** The part of each weight that a recipe trains; rows for a method that cannot train columns. */
export const trainedUnit = ({ method, trains }: Pick<Recipe, 'method' | 'trains'>): Recipe['trains'] =>
  methodCatalog[method].trainsColumns ? trains : 'rows';

/** The part of each weight that a recipe's measure scores. Coupled columns are chosen together with rows, so rows are scored. */
export const scoredUnit = (recipe: Pick<Recipe, 'method' | 'trains'>): 'rows' | 'columns' =>
  trainedUnit(recipe) === 'columns' ? 'columns' : 'rows';

/** True if groups of layers share a choice of channels. */
export const couplesLayers = (recipe: Pick<Recipe, 'dependencies' | 'method' | 'trains'>): boolean =>
  hasDependencies(recipe) || trainedUnit(recipe) === 'coupled';

/** True if columns and norm entries are trained with the rows that they depend on. */
export const hasDependencies = (recipe: Pick<Recipe, 'dependencies' | 'method' | 'trains'>): boolean =>
  recipe.dependencies && methodCatalog[recipe.method].hasDependencies && trainedUnit(recipe) === 'rows';

/** True if attention rows or columns are chosen as whole heads. */
export const choosesHeads = (recipe: Pick<Recipe, 'dependencies' | 'method' | 'trains' | 'importance'>): boolean =>
  recipe.importance.heads && methodCatalog[recipe.method].chooses === 'rows' && !hasDependencies(recipe);

/**
 * The budget. With dependencies, it is half of the recipe's value, because the dependent columns and entries have about as many parameters
 * as the rows.
 */
export function rowsBudget(recipe: BudgetSettings): Budget {
  const { r = 0, ratio } = recipe;
  const isHalved = hasDependencies(recipe);
  if (ratio !== undefined) return { ratio: isHalved ? ratio / 2 : ratio };
  return { r: isHalved ? Math.max(1, Math.round(r / 2)) : r };
}
