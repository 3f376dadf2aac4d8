/** Reads the recipes of the runs among several folders. */
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { isRunFolder, readRunRecipe } from '../../run/run-folder.ts';

/** Yields each run with its recipe, in their order. @param folders that may be runs, or other adapters */
export async function* runRecipes(
  folders: readonly (string | undefined)[],
): AsyncGenerator<{ readonly run: string; readonly recipe: Recipe }> {
  for (const run of folders) if (run !== undefined && (await isRunFolder(run))) yield { run, recipe: await readRunRecipe(run) };
}
