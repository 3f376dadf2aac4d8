/** The element type that a run chose itself: its recipe has `auto`, and its checkpoints record the choice. */
import type { Adapter } from '../adapter/adapter.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { hasTrainerState, readTrainerState } from '../run/checkpoint/checkpoint.ts';

/**
 * Returns the recipe with the element type that the run chose in place of `auto`. Exported adapters do not record it, so `auto` stays,
 * which means float32 in an evaluation.
 * @throws RunError 'checkpoint-damaged'
 */
export async function withChosenType(recipe: Recipe, adapter: Pick<Adapter, 'dir'> | undefined): Promise<Recipe> {
  if (recipe.dtype !== 'auto' || !adapter || !hasTrainerState(adapter.dir)) return recipe;
  const { state } = await readTrainerState(adapter.dir);
  return { ...recipe, dtype: state.dtype };
}
