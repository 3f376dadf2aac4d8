/** The memory of a run from its recipe and the headers of its model: the very programs that would run, and no weight loaded. */
import { liveness, signatureFlops } from '../graph/liveness.ts';
import type { Signature } from '../graph/program.ts';
import { RECOMPUTE_POLICIES, type RecomputePolicy } from '../graph/recompute.ts';
import { byteSize, elementCount } from '../graph/types.ts';
import { type Attachment, type MethodName, type MethodSettings, trainableCount } from '../method/method.ts';
import { methods } from '../method/methods.ts';
import { TargetError } from '../method/targets.ts';
import { loadModel } from '../model/load-model.ts';
import type { AnyModel } from '../model/model-spec.ts';
import { checkWeights } from '../model/weight-stream.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';
import { optimizerState } from '../train/optimizer.ts';
import { methodSettings, optimizerSettings } from '../train/recipe-settings.ts';
import type { BatchShape } from '../train/task.ts';
import { evalSignature, trainSignature } from '../train/train-program.ts';
import { placesOf } from '../train/trained-part.ts';
import { updateGroups } from '../train/update-group.ts';
import { nearestSettings } from './nearest-settings.ts';
import { evaluationShape, fullBatch, plannedAttachment, plannedProgram } from './planned-program.ts';

/**
 * What a worker takes beside tensors: Node, the engine's code and thread pools, compiled programs. Measured as the resident memory of a
 * worker at the peak of a step of a 135M model, less its variables and the tensors alive: 0.64 to 0.80 GB over methods and levels with
 * TensorFlow 2.21 on the CPU, 0.51 GB for inference alone.
 */
export const ENGINE_OVERHEAD_BYTES = 690e6;

export interface EstimateParams {
  readonly recipe: Recipe;
  /** config.json and the tensors of the weight file, as `readModelHeaders` gives them. */
  readonly headers: {
    readonly config: Readonly<Record<string, unknown>>;
    readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  };
  /** Shapes of the training batches; where the data is not known, one full batch of `max_length` tokens that all count. */
  readonly buckets?: readonly BatchShape[];
  /** What the run may take: `recompute: auto` becomes the first level that fits. Without it, the fastest level. */
  readonly usableBytes?: number;
  /** Every level of recomputation, not only the ones that the recipe asks about. */
  readonly allLevels?: boolean;
  /** The other methods beside it, each at the nearest number of trained parameters. */
  readonly compare?: boolean;
}

export interface PassEstimate {
  /** Most bytes of tensors alive at once. */
  readonly activationBytes: number;
  readonly flops: number;
}

/** One level of recomputation, over all buckets. */
export interface LevelEstimate extends PassEstimate {
  readonly recompute: RecomputePolicy;
  readonly totalBytes: number;
}

export interface BucketEstimate {
  readonly shape: BatchShape;
  readonly training: readonly (PassEstimate & { readonly recompute: RecomputePolicy })[];
  readonly evaluation: PassEstimate;
}

export interface MemoryEstimate {
  readonly method: MethodName;
  /** Rows a layer, or the rank, where the method has one. */
  readonly r?: number;
  readonly parameters: number;
  readonly trainable: number;
  readonly trainableShare: number;
  readonly weightsBytes: number;
  /** What the method adds to the model: factors and row numbers. Rows that are trained in place are part of the weights. */
  readonly trainedBytes: number;
  /** Gradients that outlive a batch (accumulation); those within a step are among the activations. */
  readonly gradientBytes: number;
  readonly optimizerBytes: number;
  /** At the level below, in the batch that takes the most, evaluation included. */
  readonly activationBytes: number;
  readonly engineOverheadBytes: number;
  readonly totalBytes: number;
  /** The level of the totals above. */
  readonly recompute: RecomputePolicy;
  readonly levels: readonly LevelEstimate[];
  readonly buckets: readonly BucketEstimate[];
}

export interface RecipeEstimate extends MemoryEstimate {
  readonly alternatives: readonly MemoryEstimate[];
}

/**
 * Milliseconds for a model of 8 billion parameters: some 100 for each level and bucket.
 * @throws ModelConfigError where config.json is unusable or disagrees with the tensors
 * @throws TargetError, SelectionError where the method cannot be attached to this model
 */
export function estimateRecipe(params: EstimateParams): RecipeEstimate {
  const model = loadModel(params.headers.config);
  checkWeights(model, params.headers);
  const settings = methodSettings(params.recipe);
  const own = estimateMethod(params, model, params.recipe.method, settings);
  const others = (Object.keys(methods) as MethodName[]).filter(method => params.compare && method !== params.recipe.method);
  // At the level of the recipe's own method, so that the difference is the method's.
  const alike = { ...params, recipe: { ...params.recipe, recompute: own.recompute } };
  const alternatives = others.flatMap(method => alternative(alike, model, method, { settings, trainable: own.trainable }));
  return { ...own, alternatives };
}

/** Nothing for a method that does not take these targets (lora has no norms). */
function alternative(
  params: EstimateParams,
  model: AnyModel,
  method: MethodName,
  like: { readonly settings: MethodSettings; readonly trainable: number },
): MemoryEstimate[] {
  try {
    return [estimateMethod(params, model, method, nearestSettings(model, method, like.settings, like.trainable))];
  } catch (error) {
    if (error instanceof TargetError) return [];
    throw error;
  }
}

function estimateMethod(params: EstimateParams, model: AnyModel, method: MethodName, settings: MethodSettings): MemoryEstimate {
  const { recipe } = params;
  const attachment = plannedAttachment(recipe, model, method, settings);
  const buckets = (params.buckets ?? [fullBatch(recipe, model)]).map(shape => estimateBucket(params, model, attachment, shape));
  const held = heldBytes(recipe, model, attachment);
  const heldTotal = held.weightsBytes + held.trainedBytes + held.gradientBytes + held.optimizerBytes + ENGINE_OVERHEAD_BYTES;
  const evaluation = Math.max(...buckets.map(bucket => bucket.evaluation.activationBytes));
  const levels = levelsOf(params).map((recompute, i): LevelEstimate => {
    const passes = buckets.map(bucket => bucket.training[i] as PassEstimate);
    const activationBytes = Math.max(evaluation, ...passes.map(pass => pass.activationBytes));
    return { recompute, activationBytes, flops: Math.max(...passes.map(pass => pass.flops)), totalBytes: heldTotal + activationBytes };
  });
  const { usableBytes = Number.POSITIVE_INFINITY } = params;
  const wanted = recipe.recompute === 'auto' ? levels.find(level => level.totalBytes <= usableBytes) : undefined;
  const level = (wanted ?? levels.find(({ recompute }) => recompute === recipe.recompute) ?? levels.at(-1)) as LevelEstimate;
  const parameters = model.parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const trainable = trainableCount(attachment);
  return {
    method,
    ...rankOf(method, settings),
    parameters,
    trainable,
    trainableShare: trainable / parameters,
    ...held,
    activationBytes: level.activationBytes,
    engineOverheadBytes: ENGINE_OVERHEAD_BYTES,
    totalBytes: level.totalBytes,
    recompute: level.recompute,
    levels,
    buckets,
  };
}

function rankOf(method: MethodName, { budget, rank }: MethodSettings): { r?: number } {
  if (methods[method].hasRank) return { r: rank };
  return methods[method].chooses === 'rows' && 'r' in budget ? { r: budget.r } : {};
}

const levelsOf = ({ recipe, allLevels }: EstimateParams): readonly RecomputePolicy[] =>
  allLevels || recipe.recompute === 'auto' ? RECOMPUTE_POLICIES : [recipe.recompute];

function estimateBucket(params: EstimateParams, model: AnyModel, attachment: Attachment, shape: BatchShape): BucketEstimate {
  const { recipe } = params;
  const evalShape = evaluationShape(recipe, shape);
  const signatures = (recompute: RecomputePolicy, evalShapes: readonly BatchShape[]) =>
    plannedProgram({ recipe, model, attachment, recompute, trainShapes: [shape], evalShapes }).signatures;
  let evaluation: PassEstimate = { activationBytes: 0, flops: 0 };
  const training = levelsOf(params).map((recompute, i) => {
    // Evaluation has no backward pass, so its program is the same at every level.
    const found = signatures(recompute, i === 0 ? [evalShape] : []);
    if (i === 0) evaluation = passOf(found[evalSignature(evalShape)] as Signature);
    return { recompute, ...passOf(found[trainSignature(shape)] as Signature) };
  });
  return { shape, training, evaluation };
}

const passOf = (signature: Signature): PassEstimate => ({
  activationBytes: liveness(signature).peakBytes,
  flops: signatureFlops(signature),
});

type HeldBytes = Pick<MemoryEstimate, 'weightsBytes' | 'trainedBytes' | 'gradientBytes' | 'optimizerBytes'>;

/** What is there from the first step to the last, whatever the batch. */
function heldBytes(recipe: Recipe, model: AnyModel, { trainables, frozen = [] }: Attachment): HeldBytes {
  const sum = (sizes: readonly number[]): number => sizes.reduce((a, b) => a + b, 0);
  const weights = new Set(model.parameters.map(({ name }) => name));
  const added = trainables.filter(({ variable }) => !weights.has(variable.name)).map(({ variable }) => variable);
  const places = new Map(trainables.flatMap(placesOf).map(({ variable }) => [variable.name, variable]));
  const optimizer = optimizerSettings(recipe);
  return {
    weightsBytes: sum(model.parameters.map(({ shape }) => byteSize({ shape, dtype: 'float32' }))),
    trainedBytes: sum([...added, ...frozen, ...places.values()].map(byteSize)),
    gradientBytes: recipe.gradient_accumulation_steps > 1 ? sum(trainables.map(({ shape }) => byteSize({ shape, dtype: 'float32' }))) : 0,
    optimizerBytes: sum(updateGroups(trainables).flatMap(group => optimizerState(optimizer, group).map(byteSize))),
  };
}
