/** How many rows a recipe trains: what the run chooses, and what the heatmap and the estimate show. */
import { methodCatalog } from '../catalog/methods.ts';
import type { Recipe } from './recipe-schema.ts';

type Budget = { readonly r: number } | { readonly ratio: number };
type BudgetSettings = Pick<Recipe, 'method' | 'r' | 'ratio' | 'dependencies'>;

/** Whether columns and norm entries are trained with the rows that they depend on. */
export const hasDependencies = ({ dependencies, method }: Pick<Recipe, 'dependencies' | 'method'>): boolean =>
  dependencies && methodCatalog[method].hasDependencies;

/** With dependencies half of what the recipe says: the columns and entries that come along make up about as many numbers. */
export function rowsBudget(recipe: BudgetSettings): Budget {
  const { r = 0, ratio } = recipe;
  const isHalved = hasDependencies(recipe);
  if (ratio !== undefined) return { ratio: isHalved ? ratio / 2 : ratio };
  return { r: isHalved ? Math.max(1, Math.round(r / 2)) : r };
}
