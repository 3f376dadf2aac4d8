/** How a recipe and the folder of its model make vectors. */
import { DEFAULT_POOLING } from '../../model/embedder.ts';
import type { Pooling } from '../../model/model-spec.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';

/** The pooling of the recipe, else of the model's folder, else the mean of all tokens, brought to length 1; the layers are the folder's. */
export function poolingOf({ embedding }: Pick<Recipe, 'embedding'>, found: Pooling = DEFAULT_POOLING): Pooling {
  const { pooling, normalize, query_prompt: query, document_prompt: document } = embedding;
  return {
    ...found,
    mode: pooling === 'auto' ? found.mode : pooling,
    normalize: normalize ?? found.normalize,
    ...((query !== undefined || document !== undefined) && { prompts: { query, document } }),
  };
}
