/** Predicts the memory of a run from its recipe and its model's headers: traces the exact programs of the run, loads no weights. */

import type { DeviceCard } from '../../catalog/device-card.ts';
import type { EngineName } from '../../catalog/engines.ts';
import { plannedEngine } from '../../catalog/engines.ts';
import { type MethodName, methodCatalog, methodNames } from '../../catalog/methods.ts';
import { planner } from '../../graph/fusion/plan.ts';
import type { KnownPrograms } from '../../graph/known-programs.ts';
import { RECOMPUTE_POLICIES, type RecomputePolicy } from '../../graph/recompute.ts';
import { byteSize, elementCount, type TensorSpec } from '../../graph/types.ts';
import { type MethodSettings, trainableCount } from '../../method/method.ts';
import { TargetError } from '../../method/targets.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import { elementAt, lastOf, required } from '../../narrow.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { SelectionError } from '../../selection.ts';
import { type ComputesOn, copiesInMemory } from '../../train/recipe-settings.ts';
import type { BatchShape } from '../../train/task.ts';
import { type PlanFacts, planMethod, planRun, type RunPlan } from '../run-plan.ts';
import { type BaseOnHost, priceOnHost } from './base-on-host.ts';
import { countedPasses } from './counted-passes.ts';
import { bufferRules, poolTableOf } from './engine-memory.ts';
import { engineOverheadBytes } from './engine-overhead.ts';
import { type ExchangeMemory, exchangeMemory } from './exchange-buffers.ts';
import { type HeldVariables, heldVariables, loadOrder } from './held-variables.ts';
import { nearestSettings } from './nearest-settings.ts';
import { mostBefore, type PassesBefore, passesBefore } from './passes-before.ts';
import { priceJudge } from './price-judge.ts';
import { type MeasuredPass, type PassEstimate, PassTracer } from './traced-passes.ts';

export type { PassEstimate } from './traced-passes.ts';

export interface PriceOptions {
  /** Memory that a process of the run may take: `recompute: auto` becomes the first level that fits. If omitted, the fastest level. */
  readonly usableBytes?: number;
  /** True to price every recompute level, not only those that the plan needs. */
  readonly allLevels?: boolean;
  /** Programs that were previously compiled for the run's device. */
  readonly known?: KnownPrograms | undefined;
}

/** The source of the activation figure for the largest pass: the device's compiler, or liveness and a model of the engine's buffers. */
export type MemorySource = 'compiler' | 'model';

export interface EstimateParams extends Pick<PlanFacts, 'recipe' | 'headers' | 'seesImages'>, PriceOptions {
  /** config.json of the teacher that the recipe's model learns from. */
  readonly teacherConfig?: PlanFacts['headers']['config'] | undefined;
  /** config.json of the reward model that scores answers. */
  readonly judgeConfig?: PlanFacts['judgeConfig'];
  /** Memory that all processes of the run may take together. */
  readonly usableBytes?: number;
  /** The engine that will run; defaults to the recipe's, and to TensorFlow for `auto`. */
  readonly engine?: EngineName;
  /** The device; a CPU by default. */
  readonly device?: 'cpu' | 'gpu';
  /** The graphics card, if one is named. */
  readonly card?: ComputesOn['card'];
  /** The GPU that is present, if no card is named. */
  readonly gpu?: ComputesOn['gpu'];
  /** True if each process and each device has its own memory, as on cards: `usableBytes` and `runBytes` then refer to one of them. */
  readonly isPerDevice?: boolean | undefined;
  /** True to estimate the other methods as well, each at the closest number of trained parameters. */
  readonly compare?: boolean;
}

/** One recompute level, over all buckets. */
export interface LevelEstimate extends PassEstimate {
  readonly recompute: RecomputePolicy;
  readonly source: MemorySource;
  /** Number of nodes in the training program of the largest bucket. */
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
  /** Rows per layer, or the rank, if the method has one. */
  readonly r?: number;
  readonly parameters: number;
  readonly trainable: number;
  readonly trainableShare: number;
  readonly weightsBytes: number;
  /** Bytes of the variables that the method adds: factors and row indices. Rows trained in place belong to the weights. */
  readonly trainedBytes: number;
  /** Gradients that outlive a batch (accumulation) and rounding errors of their exchange (int8); those within a step are activations. */
  readonly gradientBytes: number;
  readonly optimizerBytes: number;
  /** Bytes of optimizer state and masters on disk, and of those and weights in the host's memory if a GPU computes: part of no total. */
  readonly offloadedBytes: number;
  /** Activations at the level below, in the largest batch; includes evaluation, a reward model that scores answers, exchange buffers. */
  readonly activationBytes: number;
  /** Part of the activations: a reward model while it scores answers; omitted if there is none. */
  readonly judgeBytes?: number;
  readonly source: MemorySource;
  /** Part of the activations, at most: the exchange of gradients between processes or devices; omitted if there is none. */
  readonly exchangeBytes?: number;
  /** Node, the engine's code, compiled programs, and memory that its allocator cannot use. */
  readonly engineOverheadBytes: number;
  readonly totalBytes: number;
  /** The recompute level of the totals above. */
  readonly recompute: RecomputePolicy;
  readonly levels: readonly LevelEstimate[];
  readonly buckets: readonly BucketEstimate[];
}

/** An estimate for one process, and for one of its devices. */
export interface RecipeEstimate extends MemoryEstimate, PassesBefore {
  /** Number of processes of the run, each with the same memory. */
  readonly processes: number;
  /** Number of devices of each process, each with the same memory. */
  readonly devices: number;
  /**
   * Peak memory of all processes, excluding further GPUs, as if all were on this machine, or of one process if they have separate memory;
   * or that of a pass before training, if it takes more.
   */
  readonly runBytes: number;
  /** The memory with the base in the host's memory: compared if the run does not fit; omitted if that is not possible. */
  readonly baseOnHost?: BaseOnHost;
  /** The GPU whose memory this is, and the assumptions about it; omitted for the machine's memory, and for a named card. */
  readonly gpu?: DeviceCard;
  readonly alternatives: readonly MemoryEstimate[];
}

/**
 * Estimates the memory of a recipe. Takes from about 20 ms per level and bucket, for any number of identical blocks, and from about 200 ms
 * with fused steps.
 * @throws as `planRun` does
 */
export function estimateRecipe(params: EstimateParams): RecipeEstimate {
  const { recipe, headers } = params;
  const facts = { recipe, headers, on: computesOn(params), seesImages: params.seesImages, judgeConfig: params.judgeConfig };
  const plan = planRun(facts);
  // All methods and levels share one planner, because their programs are similar.
  const fuse = planner();
  const { processes, devices } = recipe;
  const copies = copiesInMemory(recipe, facts.on, params.isPerDevice);
  const usableBytes = params.usableBytes === undefined ? undefined : params.usableBytes / copies;
  const own = priceAsRun(facts, plan, { ...params, usableBytes }, fuse);
  const others = methodNames.filter(method => params.compare && method !== recipe.method);
  // Uses the recompute level of the recipe's own method, so that any difference is due to the method.
  const alike = { ...facts, recompute: own.recompute };
  const alternatives = others.flatMap(method => {
    const other = alternative(alike, plan, { method, trainable: own.trainable });
    return other ? [priceRun(other, { usableBytes }, fuse)] : [];
  });
  const before = passesBefore(params, plan);
  // The passes before training compute on one device of each process.
  const runBytes = Math.max(copies * own.totalBytes, (params.isPerDevice ? 1 : processes) * mostBefore(before));
  const { usableBytes: limit = Number.POSITIVE_INFINITY } = params;
  const estimate = (other: Recipe) => estimateRecipe({ ...params, recipe: other, compare: false, allLevels: false });
  const baseOnHost =
    params.compare !== false && runBytes > limit ? priceOnHost(recipe, facts.on, { usableBytes: limit, estimate }) : undefined;
  return {
    ...own,
    processes,
    devices,
    runBytes,
    ...before,
    ...(params.gpu && params.card === undefined && { gpu: params.gpu }),
    ...(baseOnHost && { baseOnHost }),
    alternatives,
  };
}

/**
 * Returns the memory of the programs that a run of the recipe has compiled. A run that used the device's attention kernel has compiled none
 * with chunks, so with `attention: auto`, programs with the kernel are looked up first.
 */
function priceAsRun(facts: PlanFacts, plan: RunPlan, options: PriceOptions, fuse: ReturnType<typeof planner>): MemoryEstimate {
  const { known } = options;
  const mayHaveChosen = facts.recipe.attention === 'auto' && facts.on.device === 'gpu';
  if (mayHaveChosen && known && !known.ofCard) {
    const fused = priceRun(planRun({ ...facts, fusesAttention: true }), options, fuse);
    if (fused.source === 'compiler') return fused;
  }
  return priceRun(plan, options, fuse);
}

export const computesOn = ({
  recipe,
  engine,
  device = 'cpu',
  card,
  gpu,
}: Pick<EstimateParams, 'recipe' | 'engine' | 'device' | 'card' | 'gpu'>): ComputesOn => ({
  engine: engine ?? plannedEngine(recipe.engine),
  device,
  card,
  gpu,
});

/** Returns the plan of another method; undefined if it does not support these targets (LoRA has no norms, and layers may have few rows). */
function alternative(
  facts: PlanFacts,
  { model, settings }: RunPlan,
  { method, trainable }: { readonly method: MethodName; readonly trainable: number },
): RunPlan | undefined {
  try {
    return planMethod(facts, model, method, nearestSettings(model, method, settings, trainable));
  } catch (error) {
    if (error instanceof TargetError || error instanceof SelectionError) return undefined;
    throw error;
  }
}

/** Returns the memory of a plan, from the programs that its run compiles. Uses the compiler's counts if it has counted all. */
export function priceRun(plan: RunPlan, options: PriceOptions = {}, fuse = planner()): MemoryEstimate {
  const { method, settings, model, attachment, trainShapes, evalShapes } = plan;
  const { engine } = plan.on;
  const variables = heldVariables(plan);
  const tracer = new PassTracer(plan, fuse);
  const exchange = exchangeMemory(plan);
  const held = heldBytes(variables, engine, exchange);
  const heldTotal = held.weightsBytes + held.trainedBytes + held.gradientBytes + held.optimizerBytes;
  const sharedNodes = tracer.sharedNodes(
    Object.values(variables).reduce((sum, specs) => sum + specs.length, 0),
    variables.offloaded.length,
  );
  const tableBytes = poolTableOf(plan.on, loadOrder(plan, variables));
  const gradientBytes = attachment.trainables.reduce((most, { shape }) => Math.max(most, byteSize({ shape, dtype: 'float32' })), 0);
  const answers = tracer.answers();
  const judge = priceJudge(plan);
  const atLevel = (recompute: RecomputePolicy): TracedLevel => {
    const counted = options.known && mayCount(options.known, judge) ? countedPasses(plan, recompute, options.known) : undefined;
    const training = trainShapes.map((shape, i) => counting(tracer.training(shape, recompute), counted?.training[i]));
    const evaluation = evalShapes.map((shape, i) => counting(tracer.evaluation(shape, recompute), counted?.evaluation[i]));
    const answering = answers.passes.map((pass, i) => counting(pass, counted?.answers[i]));
    // A compiler's count includes the sums within its program.
    const bufferBytes = ({ source }: PricedPass): number => (source !== undefined && plan.parts?.own === 'each' ? 0 : exchange.bufferBytes);
    const passes: readonly PricedPass[] = [...training, ...evaluation, ...answering, ...(judge ? [judge] : [])];
    const most = Math.max(
      exchange.betweenBytes,
      ...training.map(pass => pass.activationBytes + bufferBytes(pass)),
      ...passes.map(pass => pass.activationBytes),
    );
    const { source = 'model' } = passes.reduce((a, b) => (b.activationBytes > a.activationBytes ? b : a));
    const activationBytes = most + answers.cacheBytes;
    const overhead = engineOverheadBytes({
      ...plan.on,
      nodes: passes.reduce((sum, { nodes }) => sum + nodes, sharedNodes),
      compilerBytes: Math.max(...passes.map(({ compilerBytes }) => compilerBytes)),
      convolutions: passes.reduce((sum, { convolutions }) => sum + convolutions, 0),
      variableBytes: heldTotal,
      tableBytes,
      gradientBytes,
      activationBytes,
      isCounted: source === 'compiler',
      feedBytes: Math.max(...training.map(({ feedBytes }) => feedBytes)),
      vocabularySize: vocabularyOf(model),
    });
    const flops = Math.max(...training.map(pass => pass.flops));
    const nodes = Math.max(...training.map(pass => pass.nodes));
    const level = {
      recompute,
      source,
      activationBytes,
      flops,
      nodes,
      engineOverheadBytes: overhead,
      totalBytes: heldTotal + overhead + activationBytes,
    } as const;
    return { level, training, evaluation };
  };
  const traced = tracedLevels(plan, options, heldTotal, atLevel);
  const levels = traced.map(({ level }) => level);
  const { usableBytes = Number.POSITIVE_INFINITY } = options;
  const wanted = plan.recompute === 'auto' ? levels.find(level => level.totalBytes <= usableBytes) : undefined;
  const level = required(
    wanted ?? levels.find(({ recompute }) => recompute === plan.recompute) ?? levels.at(-1),
    'a level of recomputation',
  );
  const parameters = model.parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const trainable = trainableCount(attachment);
  const exchangeBytes = Math.max(exchange.bufferBytes, exchange.betweenBytes);
  return {
    method,
    ...rankOf(method, settings),
    parameters,
    trainable,
    trainableShare: trainable / parameters,
    ...held,
    activationBytes: level.activationBytes,
    ...(judge && { judgeBytes: judge.activationBytes }),
    ...(exchangeBytes > 0 && { exchangeBytes }),
    source: level.source,
    engineOverheadBytes: level.engineOverheadBytes,
    totalBytes: level.totalBytes,
    recompute: level.recompute,
    levels,
    buckets: trainShapes.map((shape, i) => toBucket(shape, i, traced)),
  };
}

interface PricedPass extends MeasuredPass {
  readonly source?: MemorySource;
}

/** Returns whether the compiler's counts may be used. Runs compile all their programs, but a reward model's are never known. */
const mayCount = ({ ofCard }: KnownPrograms, judge: MeasuredPass | undefined): boolean => ofCard !== undefined || judge === undefined;

/** Returns the pass with the bytes that the compiler has counted, if any. */
const counting = (pass: MeasuredPass, bytes: number | undefined): PricedPass =>
  bytes === undefined ? pass : { ...pass, activationBytes: bytes, source: 'compiler' };

interface TracedLevel {
  readonly level: LevelEstimate;
  /** One pass per batch shape. */
  readonly training: readonly MeasuredPass[];
  readonly evaluation: readonly MeasuredPass[];
}

/**
 * Returns the levels that the plan needs; under `auto`, only up to the first that fits. `none` takes longest to plan and has more
 * activations than `cheap`, so it is planned only if those fit. If even the held variables do not fit, the leanest level is enough.
 */
function tracedLevels(
  { recompute }: RunPlan,
  { allLevels, usableBytes }: PriceOptions,
  heldTotal: number,
  at: (level: RecomputePolicy) => TracedLevel,
): TracedLevel[] {
  if (recompute !== 'auto' && !allLevels) return [at(recompute)];
  if (allLevels || usableBytes === undefined) return RECOMPUTE_POLICIES.map(at);
  if (heldTotal > usableBytes) return [at(lastOf(RECOMPUTE_POLICIES))];
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
  const training = traced.map(({ level, training }) => ({ recompute: level.recompute, ...ofPass(elementAt(training, i)) }));
  // Evaluation has no backward pass, so it is the same at every level.
  const [evaluations = []] = traced.map(({ evaluation }) => evaluation);
  return {
    shape,
    training,
    evaluation: ofPass(required(evaluations[i] ?? evaluations.at(-1), 'the evaluation of the shape')),
  };
}

/** Returns the size of the vocabulary; 0 for images. */
export function vocabularyOf(model: AnyModel): number {
  if (model.kind === 'causal') return model.vocabularySize;
  return model.input.kind === 'tokens' ? model.input.vocabularySize : 0;
}

function rankOf(method: MethodName, { budget, rank }: MethodSettings): { r?: number } {
  const counts = methodCatalog[method].r?.counts;
  if (counts === 'rank') return { r: rank };
  return counts === 'rows' && 'r' in budget ? { r: budget.r } : {};
}

type HeldBytes = Pick<MemoryEstimate, 'weightsBytes' | 'trainedBytes' | 'gradientBytes' | 'optimizerBytes' | 'offloadedBytes'>;

function heldBytes(
  { weights, trained, gradients, optimizer, offloaded }: HeldVariables,
  engine: EngineName,
  { keptBytes }: ExchangeMemory,
): HeldBytes {
  const rules = bufferRules(engine, { variables: [] });
  const sum = (specs: readonly TensorSpec[]): number => specs.reduce((total, spec) => total + rules.bytes(spec), 0);
  return {
    weightsBytes: sum(weights),
    trainedBytes: sum(trained),
    gradientBytes: sum(gradients) + keptBytes,
    optimizerBytes: sum(optimizer),
    offloadedBytes: sum(offloaded),
  };
}
