/** The other tools whose recipes are converted. */
import { namesOf } from './entries.ts';

export interface RecipeToolEntry {
  readonly label: string;
}

/** The tools; their order decides if a recipe matches two of them equally well. */
const entries = {
  torchtune: { label: 'torchtune' },
  axolotl: { label: 'Axolotl' },
  llamaFactory: { label: 'LLaMA-Factory' },
  trl: { label: 'TRL' },
  unsloth: { label: 'Unsloth' },
  mlxLm: { label: 'mlx-lm' },
} as const satisfies Readonly<Record<string, RecipeToolEntry>>;

export type RecipeToolName = keyof typeof entries;
export const recipeToolCatalog: Readonly<Record<RecipeToolName, RecipeToolEntry>> = entries;
export const recipeToolNames = namesOf(entries);
/** The labels, for a sentence. */
export const recipeToolLabels: readonly string[] = recipeToolNames.map(name => recipeToolCatalog[name].label);
