/** The thread that computes estimates: parameters in, an estimate or an error out, one at a time. */
import { parentPort } from 'node:worker_threads';
import { type EstimateParams, estimateRecipe, type RecipeEstimate } from './predict.ts';

export type EstimateAnswer =
  | { readonly estimate: RecipeEstimate }
  /** Classes do not pass from thread to thread. */
  | { readonly error: { readonly name: string; readonly message: string; readonly stack?: string } };

function answer(params: EstimateParams): EstimateAnswer {
  try {
    return { estimate: estimateRecipe(params) };
  } catch (error) {
    const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
    return { error: { name, message, stack } };
  }
}

parentPort?.on('message', (params: EstimateParams) => parentPort?.postMessage(answer(params)));
