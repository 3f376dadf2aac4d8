/** The programs that a recipe's run would compile, from the recipe and the headers of its model alone. */
import type { Program } from '../../graph/program.ts';
import { loadModel } from '../../model/load-model.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import { checkWeights } from '../../model/weight-stream.ts';
import { type ComputesOn, methodSettings } from '../../train/recipe-settings.ts';
import { evaluationShape, fullBatch, plannedAttachment, plannedProgram } from './planned-program.ts';
import { type EstimateParams, modelOptions } from './predict.ts';

export interface PlannedRun {
  readonly model: AnyModel;
  readonly program: Program;
}

/**
 * Builds the training program of one full batch. `recompute: auto` and `dtype: auto` count as their first choice.
 * @throws ModelConfigError, TargetError or SelectionError where the recipe does not fit the model
 */
export function plannedRun({ recipe, headers }: Pick<EstimateParams, 'recipe' | 'headers'>, on: ComputesOn): PlannedRun {
  const model = loadModel(headers.config, modelOptions(recipe));
  checkWeights(model, headers);
  const attachment = plannedAttachment(recipe, model, recipe.method, methodSettings(recipe));
  const shape = fullBatch(recipe, model);
  const recompute = recipe.recompute === 'auto' ? 'cheap' : recipe.recompute;
  const shapes = { trainShapes: [shape], evalShapes: [evaluationShape(recipe, shape)] };
  return { model, program: plannedProgram({ recipe, model, on, attachment, recompute, ...shapes }) };
}
