/** Recognizes recipe files and names their runs. Pure. */
import path from 'node:path';

const RECIPE = /\.rowtune\.(?:ya?ml|json)$/i;

export const isRecipeName = (file: string): boolean => RECIPE.test(file);

/** A pattern for `workspace.findFiles`. */
export const RECIPE_GLOB = '**/*.rowtune.{yaml,yml,json}';
export const EXCLUDED_GLOB = '**/{node_modules,.git,checkpoints}/**';

/** Whether a recipe in YAML or JSON has a sweep section, as far as can be seen without parsing it. */
export const hasSweepSection = (text: string): boolean => /^[ \t{,]*["']?sweep["']?[ \t]*:/m.test(text);

interface Listed {
  readonly key: string;
  readonly description: string;
}

/** Used recipes come first, in the order of `used`; the others follow by their descriptions. */
export function inOrderOfUse<T extends Listed>(items: readonly T[], used: readonly string[]): T[] {
  const rank = ({ key }: Listed): number => (used.includes(key) ? used.indexOf(key) : used.length);
  return [...items].sort((a, b) => rank(a) - rank(b) || a.description.localeCompare(b.description));
}

/** spam.rowtune.yaml → spam */
export const recipeStem = (file: string): string => path.basename(file).replace(RECIPE, '');

/** The suffix of score files. */
export const SCORES_ENDING = '.scores.safetensors';

/** The path of the standalone scores of a recipe: next to it. */
export const scoresFile = (recipeFile: string, baseDir: string): string => path.join(baseDir, `${recipeStem(recipeFile)}${SCORES_ENDING}`);
