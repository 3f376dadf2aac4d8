/** The recipes of several runs, side by side. */
import { ownSettings } from '../../trainer/protocol/recipe/own-settings.ts';
import type { RecipeEntry } from '../../trainer/protocol/view/run.ts';

export interface RecipeRow {
  readonly key: string;
  readonly doc: string;
  /** Values by run; undefined if the run does not have the setting. */
  readonly values: readonly (string | undefined)[];
  readonly differs: boolean;
}

/**
 * Returns the settings in recipe order. A setting differs if two runs with a known recipe have different values.
 * @param recipes undefined for a run whose recipe is not known (yet)
 */
export function recipeRows(recipes: readonly (readonly RecipeEntry[] | undefined)[]): RecipeRow[] {
  const byRun = recipes.map(entries => entries && new Map(entries.map(entry => [entry.key, entry])));
  const docs = new Map(recipes.flatMap(entries => (entries ?? []).map(({ key, doc }) => [key, doc] as const)));
  const order = longestFirst(recipes).flatMap(entries => entries.map(({ key }) => key));
  return [...new Set(order)].map(key => {
    const known = byRun.flatMap(entries => (entries ? [entries.get(key)?.value] : []));
    return {
      key,
      doc: docs.get(key) ?? '',
      values: byRun.map(entries => entries?.get(key)?.value),
      differs: !ownSettings.includes(key) && new Set(known).size > 1,
    };
  });
}

const longestFirst = (recipes: readonly (readonly RecipeEntry[] | undefined)[]): (readonly RecipeEntry[])[] =>
  recipes.filter(entries => entries !== undefined).sort((a, b) => b.length - a.length);
