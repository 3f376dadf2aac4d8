/** How a recipe and its model's folder define the vectors. */
import { DEFAULT_POOLING } from '../../model/embedder.ts';
import type { Pooling } from '../../protocol/pooling.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';

/**
 * The pooling of the recipe, otherwise of the model's folder, otherwise the mean of all tokens, normalized to length 1; dense layers come
 * from the folder.
 */
export function poolingOf({ embedding }: Pick<Recipe, 'embedding'>, found: Pooling = DEFAULT_POOLING): Pooling {
  const { pooling, normalize, query_prompt: query, document_prompt: document } = embedding;
  return {
    ...found,
    mode: pooling === 'auto' ? found.mode : pooling,
    normalize: normalize ?? found.normalize,
    ...((query !== undefined || document !== undefined) && { prompts: { query, document } }),
  };
}
