/** The thread that computes estimates: parameters in, an estimate or a message out, one at a time. */
import { parentPort } from 'node:worker_threads';
import { type EstimateParams, estimateRecipe, type RecipeEstimate } from '../trainer/memory/predict.ts';
import { TargetError } from '../trainer/method/targets.ts';
import { ModelConfigError } from '../trainer/model/model-spec.ts';
import { SelectionError } from '../trainer/selection.ts';

/** `failed` is a mistake of ours. A method that does not fit the model has no estimate, and is a problem of its own. */
export type EstimateAnswer = { readonly estimate?: RecipeEstimate } | { readonly failed: string };

export function answerEstimate(params: EstimateParams): EstimateAnswer {
  try {
    return { estimate: estimateRecipe(params) };
  } catch (error) {
    if (error instanceof TargetError || error instanceof SelectionError || error instanceof ModelConfigError) return {};
    return { failed: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

parentPort?.on('message', (params: EstimateParams) => parentPort?.postMessage(answerEstimate(params)));
