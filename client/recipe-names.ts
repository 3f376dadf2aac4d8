/** Which files are recipes, and what their runs are called. Pure. */
import path from 'node:path';

const RECIPE = /\.rowtune\.(?:ya?ml|json)$/i;

export const isRecipeName = (file: string): boolean => RECIPE.test(file);

/** For `workspace.findFiles`. */
export const RECIPE_GLOB = '**/*.rowtune.{yaml,yml,json}';
export const EXCLUDED_GLOB = '**/{node_modules,.git,checkpoints}/**';

/** spam.rowtune.yaml → spam */
export const recipeStem = (file: string): string => path.basename(file).replace(RECIPE, '');

/** What the names of files of scores end with. */
export const SCORES_ENDING = '.scores.safetensors';

/** Where the scores of a recipe go that are computed for themselves: beside it. */
export const scoresFile = (recipeFile: string, baseDir: string): string => path.join(baseDir, `${recipeStem(recipeFile)}${SCORES_ENDING}`);
