/** The memory of a run from its recipe and the headers of its model: the very programs that would run, and no weight loaded. */

import type { EngineName } from '../../catalog/engines.ts';
import { plannedEngine } from '../../catalog/engines.ts';
import { type MethodName, methodCatalog, methodNames } from '../../catalog/methods.ts';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { planner } from '../../graph/fusion/plan.ts';
import { RECOMPUTE_POLICIES, type RecomputePolicy } from '../../graph/recompute.ts';
import { byteSize, elementCount, type TensorSpec } from '../../graph/types.ts';
import { type Attachment, type MethodSettings, trainableCount } from '../../method/method.ts';
import { TargetError } from '../../method/targets.ts';
import { loadModel, type ModelOptions } from '../../model/load-model.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import { checkWeights } from '../../model/weight-stream.ts';
import type { Recipe } from '../../protocol/recipe-schema.ts';
import { methodSettings } from '../../train/recipe-settings.ts';
import type { BatchShape } from '../../train/task.ts';
import { bufferRules } from './engine-buffers.ts';
import { engineOverheadBytes } from './engine-overhead.ts';
import { type HeldVariables, heldVariables } from './held-variables.ts';
import { nearestSettings } from './nearest-settings.ts';
import { evaluationShape, fullBatch, plannedAttachment } from './planned-program.ts';
import { type PassEstimate, PassTracer, type PassTracerParams, type TracedPasses } from './traced-passes.ts';

export type { PassEstimate } from './traced-passes.ts';

export interface EstimateParams {
  readonly recipe: Recipe;
  /** config.json and the tensors of the weight file, as `readModelHeaders` gives them. */
  readonly headers: {
    readonly config: Readonly<Record<string, unknown>>;
    readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  };
  /** Shapes of the training batches; where the data is not known, one full batch of `max_length` tokens that all count. */
  readonly buckets?: readonly BatchShape[];
  /** The engine that will run; where it is not known, the recipe's, and TensorFlow for `auto`. */
  readonly engine?: EngineName;
  /** Where it runs; left out, on a processor. */
  readonly device?: 'cpu' | 'gpu';
  /** What the run may take: `recompute: auto` becomes the first level that fits. Without it, the fastest level. */
  readonly usableBytes?: number;
  /** Every level of recomputation, not only the ones that the recipe asks about. */
  readonly allLevels?: boolean;
  /** The other methods beside it, each at the nearest number of trained parameters. */
  readonly compare?: boolean;
}

/** One level of recomputation, over all buckets. */
export interface LevelEstimate extends PassEstimate {
  readonly recompute: RecomputePolicy;
  /** Of the training program of one bucket, the largest. */
  readonly nodes: number;
  readonly engineOverheadBytes: number;
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
  /** Optimizer state and masters that lie on disk, or in the host's memory beside a GPU: in no total. */
  readonly offloadedBytes: number;
  /** At the level below, in the batch that takes the most, evaluation included. */
  readonly activationBytes: number;
  /** Node, the engine's code, compiled programs, and what its allocator cannot use. */
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

/** One planner for all methods and levels, which are much alike. */
type EstimatePlan = EstimateParams & Pick<PassTracerParams, 'plan'>;

/**
 * From some 20 ms a level and bucket, whatever the number of blocks, where they are alike; from some 200 ms where steps are fused.
 * @throws ModelConfigError where config.json is unusable or disagrees with the tensors
 * @throws TargetError, SelectionError where the method cannot be attached to this model
 */
export function estimateRecipe(params: EstimateParams): RecipeEstimate {
  const model = loadModel(params.headers.config, modelOptions(params.recipe));
  checkWeights(model, params.headers);
  const settings = methodSettings(params.recipe);
  const planned = { ...params, plan: planner() };
  const own = estimateMethod(planned, model, params.recipe.method, settings);
  const others = methodNames.filter(method => params.compare && method !== params.recipe.method);
  // At the level of the recipe's own method, so that the difference is the method's.
  const alike = { ...planned, allLevels: false, recipe: { ...params.recipe, recompute: own.recompute } };
  const alternatives = others.flatMap(method => alternative(alike, model, method, { settings, trainable: own.trainable }));
  return { ...own, alternatives };
}

/** What a recipe says of the model's head and input; labels that only the data tells are as many as the config has. */
export function modelOptions({ task, data: { image_size: size, labels } }: Recipe): ModelOptions {
  const { target, model, reads } = objectiveCatalog[task];
  if (target === 'number') return { labels: ['LABEL_0'], problem: 'regression' };
  return {
    ...(model === 'classifier' && labels.length > 0 && { labels }),
    ...(reads === 'images' && size !== undefined && { imageSize: [size, size] }),
  };
}

/** Nothing for a method that does not take these targets (lora has no norms). */
function alternative(
  params: EstimatePlan,
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

function estimateMethod(params: EstimatePlan, model: AnyModel, method: MethodName, settings: MethodSettings): MemoryEstimate {
  const { recipe, headers, plan } = params;
  const engine = params.engine ?? plannedEngine(recipe.engine);
  const attach = (to: AnyModel): Attachment => plannedAttachment(recipe, to, method, settings);
  const attachment = attach(model);
  const on = { engine, device: params.device ?? 'cpu' };
  const variables = heldVariables(recipe, model, attachment, on);
  const tracer = new PassTracer({ on, config: headers.config, recipe, model, attachment, attach, plan });
  const held = heldBytes(variables, engine);
  const heldTotal = held.weightsBytes + held.trainedBytes + held.gradientBytes + held.optimizerBytes;
  const shapes = (params.buckets ?? [fullBatch(recipe, model)]).map(shape => ({ shape, evalShape: evaluationShape(recipe, shape) }));
  const sharedNodes = tracer.sharedNodes(
    Object.values(variables).reduce((sum, specs) => sum + specs.length, 0),
    variables.offloaded.length,
  );
  const atLevel = (recompute: RecomputePolicy): TracedLevel => {
    const passes = shapes.map(pair => tracer.passes(pair, recompute));
    const activationBytes = Math.max(
      ...passes.flatMap(({ training, evaluation }) => [training, evaluation].map(pass => pass.activationBytes)),
    );
    const overhead = engineOverheadBytes({
      engine,
      nodes: passes.reduce((sum, { training, evaluation }) => sum + training.nodes + evaluation.nodes, sharedNodes),
      convolutions: passes.reduce((sum, { training, evaluation }) => sum + training.convolutions + evaluation.convolutions, 0),
      variableBytes: heldTotal,
      largestBytes: variables.weights.reduce((most, spec) => Math.max(most, byteSize(spec)), 0),
      activationBytes,
      feedBytes: Math.max(...passes.map(({ training }) => training.feedBytes)),
      vocabularySize: vocabularyOf(model),
    });
    const flops = Math.max(...passes.map(({ training }) => training.flops));
    const nodes = Math.max(...passes.map(({ training }) => training.nodes));
    const level = {
      recompute,
      activationBytes,
      flops,
      nodes,
      engineOverheadBytes: overhead,
      totalBytes: heldTotal + overhead + activationBytes,
    };
    return { level, passes };
  };
  const traced = tracedLevels(params, heldTotal, atLevel);
  const levels = traced.map(({ level }) => level);
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
    engineOverheadBytes: level.engineOverheadBytes,
    totalBytes: level.totalBytes,
    recompute: level.recompute,
    levels,
    buckets: shapes.map(({ shape }, i) => toBucket(shape, i, traced)),
  };
}

interface TracedLevel {
  readonly level: LevelEstimate;
  /** Of each bucket. */
  readonly passes: readonly TracedPasses[];
}

/**
 * The levels that the recipe asks about; under `auto`, none behind the first that fits. What keeps everything takes longest to plan, and its
 * activations are more than those of `cheap`: it is planned only where those fit. Where not even what is held fits, the leanest says it all.
 */
function tracedLevels(
  { recipe, allLevels, usableBytes }: EstimateParams,
  heldTotal: number,
  at: (level: RecomputePolicy) => TracedLevel,
): TracedLevel[] {
  if (recipe.recompute !== 'auto' && !allLevels) return [at(recipe.recompute)];
  if (allLevels || usableBytes === undefined) return RECOMPUTE_POLICIES.map(at);
  if (heldTotal > usableBytes) return [at(RECOMPUTE_POLICIES.at(-1) as RecomputePolicy)];
  const cheap = at('cheap');
  const mayKeepAll = heldTotal + cheap.level.activationBytes <= usableBytes;
  const found: TracedLevel[] = [];
  for (const policy of RECOMPUTE_POLICIES.filter(each => mayKeepAll || each !== 'none')) {
    const traced = policy === 'cheap' ? cheap : at(policy);
    found.push(traced);
    if (traced.level.totalBytes <= usableBytes) break;
  }
  return found;
}

function toBucket(shape: BatchShape, i: number, traced: readonly TracedLevel[]): BucketEstimate {
  const ofPass = ({ activationBytes, flops }: PassEstimate): PassEstimate => ({ activationBytes, flops });
  const own = traced.map(({ level, passes }) => ({ recompute: level.recompute, ...(passes[i] as TracedPasses) }));
  const training = own.map(({ recompute, training: pass }) => ({ recompute, ...ofPass(pass) }));
  // Evaluation has no backward pass, so it is the same at every level.
  return { shape, training, evaluation: ofPass((own[0] as TracedPasses).evaluation) };
}

/** Tokens that the model knows; 0 for images. */
export function vocabularyOf(model: AnyModel): number {
  if (model.kind === 'causal') return model.vocabularySize;
  return model.input.kind === 'tokens' ? model.input.vocabularySize : 0;
}

function rankOf(method: MethodName, { budget, rank }: MethodSettings): { r?: number } {
  if (methodCatalog[method].lowRank !== 'none') return { r: rank };
  return methodCatalog[method].chooses === 'rows' && 'r' in budget ? { r: budget.r } : {};
}

type HeldBytes = Pick<MemoryEstimate, 'weightsBytes' | 'trainedBytes' | 'gradientBytes' | 'optimizerBytes' | 'offloadedBytes'>;

function heldBytes({ weights, trained, gradients, optimizer, offloaded }: HeldVariables, engine: EngineName): HeldBytes {
  const rules = bufferRules(engine, { variables: [] });
  const sum = (specs: readonly TensorSpec[]): number => specs.reduce((total, spec) => total + rules.bytes(spec), 0);
  return {
    weightsBytes: sum(weights),
    trainedBytes: sum(trained),
    gradientBytes: sum(gradients),
    optimizerBytes: sum(optimizer),
    offloadedBytes: sum(offloaded),
  };
}
