/** The name of a run, and its folder if the recipe sets none. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { firstNames } from '../files/folder-walk.ts';
import { realPath } from '../files/real-path.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { SUBMISSION } from '../protocol/run/run-files.ts';
import { endedBeforeFirstStep, isAtWork, readRunState } from './run-state.ts';

/** The folder of runs whose recipe sets no folder. */
export const RUNS_FOLDER = 'runs';

export const recipeName = ({ name }: Pick<Recipe, 'name'>, recipeFile: string): string =>
  name ?? (path.basename(recipeFile).replace(/(\.rowtune)?\.(ya?ml|json)$/i, '') || 'run');

export interface FreeRunFolderParams {
  readonly recipe: Recipe;
  readonly recipeFile: string;
  /** The base of a relative output_dir and of RUNS_FOLDER. */
  readonly baseDir: string;
  /** Folders of queued runs, by their real paths. */
  readonly taken?: ReadonlySet<string>;
}

/**
 * A free folder for a run: spam, spam-2, spam-3 … An existing run folder is not reused, nor one in which a cluster job will begin. The
 * folder of a run that ended before its first update can be reused.
 */
export async function freeRunFolder({ recipe, recipeFile, baseDir, taken }: FreeRunFolderParams): Promise<string> {
  if (recipe.output_dir !== undefined) return path.resolve(baseDir, recipe.output_dir);
  const name = recipeName(recipe, recipeFile);
  for (let count = 1; ; count++) {
    const folder = path.resolve(baseDir, RUNS_FOLDER, count === 1 ? name : `${name}-${count}`);
    if (!taken?.has(await realPath(folder)) && (await isFree(folder))) return folder;
  }
}

/** A free folder for a sweep: spam-sweep, spam-sweep-2 …, unless the recipe sets a folder. */
export const freeSweepFolder = (params: FreeRunFolderParams): Promise<string> =>
  freeRunFolder({ ...params, recipe: { ...params.recipe, name: `${recipeName(params.recipe, params.recipeFile)}-sweep` } });

const isFree = async (folder: string): Promise<boolean> =>
  !existsSync(`${folder}${SUBMISSION.suffix}`) && ((await firstNames(folder, 1)).length === 0 || (await isLeft(folder)));

async function isLeft(folder: string): Promise<boolean> {
  const state = await readRunState(folder);
  return state !== undefined && !isAtWork(folder, state) && (await endedBeforeFirstStep(folder));
}
