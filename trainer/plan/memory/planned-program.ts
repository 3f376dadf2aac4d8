/** The programs of a run as they follow from its recipe and its model alone: what is estimated, and what the benchmark measures. */

import { type MethodName, methodCatalog } from '../../catalog/methods.ts';
import type { Program } from '../../graph/program.ts';
import type { RecomputePolicy } from '../../graph/recompute.ts';
import type { Attachment, MethodSettings } from '../../method/method.ts';
import { attachments } from '../../method/methods.ts';
import { placeTrained } from '../../method/placement.ts';
import { firstElements } from '../../method/rosa.ts';
import { targetModules } from '../../method/targets.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import { causalTask } from '../../objective/causal/causal-task.ts';
import { classifierTask } from '../../objective/classifier/classifier-task.ts';
import type { Recipe } from '../../protocol/recipe-schema.ts';
import { firstRows } from '../../selection.ts';
import { type ComputesOn, optimizerSettings, precisionOf, withTraining } from '../../train/recipe-settings.ts';
import type { BatchShape, Task } from '../../train/task.ts';
import { type TrainProgramParams, trainProgram } from '../../train/train-program.ts';

/** Attaches a method as a run would; which rows it trains makes no difference to the memory. */
export function attachForEstimate(model: AnyModel, method: MethodName, settings: MethodSettings): Attachment {
  const attach = attachments[method];
  const { chooses } = methodCatalog[method];
  switch (chooses) {
    case 'rows':
      return attach(model, settings, firstRows(targetModules(model, settings), settings.budget));
    case 'elements':
      return attach(model, settings, firstElements(targetModules(model, settings), settings.sparseRatio));
    case 'nothing':
      return attach(model, settings, new Map());
  }
}

/** The attachment of a recipe's run. */
export const plannedAttachment = (recipe: Recipe, model: AnyModel, method: MethodName, settings: MethodSettings): Attachment =>
  placeTrained(withTraining(attachForEstimate(model, method, settings), model, recipe), model, precisionOf(recipe));

/** A batch of `max_length` tokens that all count: the largest that a run can meet. */
export function fullBatch(recipe: Recipe, model: AnyModel): BatchShape {
  const batch = recipe.per_device_train_batch_size;
  const input = model.kind === 'causal' ? model : model.input;
  const tokens = 'maxPositions' in input ? Math.min(recipe.max_length, input.maxPositions) : 1;
  return { batch, tokens, targets: model.kind === 'causal' ? batch * (tokens - 1) : batch };
}

/** The batch of an evaluation at the length of a training batch. */
export function evaluationShape(recipe: Recipe, shape: BatchShape): BatchShape {
  const batch = recipe.per_device_eval_batch_size;
  return { batch, tokens: shape.tokens, targets: Math.ceil((shape.targets / shape.batch) * batch) };
}

export const plannedTask = (recipe: Recipe, model: AnyModel): Task =>
  model.kind === 'causal' ? causalTask(model, { packed: recipe.packing }) : classifierTask(model);

export interface PlannedProgramParams {
  readonly recipe: Recipe;
  readonly model: AnyModel;
  readonly on: ComputesOn;
  readonly attachment: Attachment;
  readonly recompute: RecomputePolicy;
  readonly trainShapes: readonly BatchShape[];
  readonly evalShapes: readonly BatchShape[];
}

/** What does not depend on the shapes of batches or on the level of recomputation. */
export const plannedParams = (
  recipe: Recipe,
  model: AnyModel,
  on: ComputesOn,
): Pick<TrainProgramParams, 'task' | 'optimizer' | 'labelSmoothing' | 'maxGradNorm' | 'accumulationSteps'> => ({
  task: plannedTask(recipe, model),
  optimizer: optimizerSettings(recipe, on),
  labelSmoothing: recipe.label_smoothing_factor,
  maxGradNorm: recipe.max_grad_norm,
  accumulationSteps: recipe.gradient_accumulation_steps,
});

export const plannedProgram = ({ recipe, model, on, ...rest }: PlannedProgramParams): Program =>
  trainProgram({ ...plannedParams(recipe, model, on), ...rest });
