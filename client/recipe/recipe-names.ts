/** Which files are recipes, and what their runs are called. Pure. */
import path from 'node:path';

const RECIPE = /\.rowtune\.(?:ya?ml|json)$/i;

export const isRecipeName = (file: string): boolean => RECIPE.test(file);

/** For `workspace.findFiles`. */
export const RECIPE_GLOB = '**/*.rowtune.{yaml,yml,json}';
export const EXCLUDED_GLOB = '**/{node_modules,.git,checkpoints}/**';

interface Listed {
  readonly key: string;
  readonly description: string;
}

/** Those that are used come first, in the order of `used`; the others follow by their descriptions. */
export function inOrderOfUse<T extends Listed>(items: readonly T[], used: readonly string[]): T[] {
  const rank = ({ key }: Listed): number => (used.includes(key) ? used.indexOf(key) : used.length);
  return [...items].sort((a, b) => rank(a) - rank(b) || a.description.localeCompare(b.description));
}

/** spam.rowtune.yaml → spam */
export const recipeStem = (file: string): string => path.basename(file).replace(RECIPE, '');

/** What the names of files of scores end with. */
export const SCORES_ENDING = '.scores.safetensors';

/** Where the scores of a recipe go that are computed for themselves: beside it. */
export const scoresFile = (recipeFile: string, baseDir: string): string => path.join(baseDir, `${recipeStem(recipeFile)}${SCORES_ENDING}`);
