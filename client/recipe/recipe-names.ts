/** Recognizes recipe files and names their runs. Pure. */
import path from 'node:path';

const RECIPE = /\.rowtune\.(?:ya?ml|json)$/i;

export const isRecipeName = (file: string): boolean => RECIPE.test(file);

/** A pattern for `workspace.findFiles`. */
export const RECIPE_GLOB = '**/*.rowtune.{yaml,yml,json}';
export const EXCLUDED_GLOB = '**/{node_modules,.git,checkpoints}/**';

/** True if a recipe in YAML or JSON seems to have a sweep section; the text is not parsed. */
export const hasSweepSection = (text: string): boolean => /^[ \t{,]*["']?sweep["']?[ \t]*:/m.test(text);

interface Listed {
  readonly key: string;
  readonly description: string;
}

/** Sorts used recipes first, in the order of `used`, and the others by their descriptions. */
export function inOrderOfUse<T extends Listed>(items: readonly T[], used: readonly string[]): T[] {
  const rank = ({ key }: Listed): number => (used.includes(key) ? used.indexOf(key) : used.length);
  return [...items].sort((a, b) => rank(a) - rank(b) || a.description.localeCompare(b.description));
}

/** spam.rowtune.yaml → spam */
export const recipeStem = (file: string): string => path.basename(file).replace(RECIPE, '');

/** The file name suffix of score files. */
export const SCORES_ENDING = '.scores.safetensors';

/** The path of a recipe's standalone scores, next to the recipe. */
export const scoresFile = (recipeFile: string, baseDir: string): string => path.join(baseDir, `${recipeStem(recipeFile)}${SCORES_ENDING}`);
