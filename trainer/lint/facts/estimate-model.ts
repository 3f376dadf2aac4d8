/** The estimate of a recipe for a model that is given by its path. */
import { readModelHeaders } from '../../hub/open-model.ts';
import { estimateRecipe, type RecipeEstimate } from '../../plan/memory/predict.ts';
import type { ModelEstimateParams } from './estimates.ts';

/** Rejects as `estimateRecipe` throws, and with ModelFileError where the headers can't be read. */
export const estimateModel = async ({ model, ...params }: ModelEstimateParams): Promise<RecipeEstimate> =>
  estimateRecipe({ ...params, headers: await readModelHeaders(model) });
