/** The memory of a run from its recipe and the headers of its model: the very programs that would run, and no weight loaded. */

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
import { priceJudge } from './price-judge.ts';
import { priceMovement } from './price-movement.ts';
import { priceTeacher } from './price-teacher.ts';
import { type MeasuredPass, type PassEstimate, PassTracer } from './traced-passes.ts';

export type { PassEstimate } from './traced-passes.ts';

export interface PriceOptions {
  /** The memory that a process of the run may take: `recompute: auto` becomes the first level that fits. Without it, the fastest level. */
  readonly usableBytes?: number;
  /** Every level of recomputation, not only the ones that the plan asks about. */
  readonly allLevels?: boolean;
  /** Programs that were compiled for the device of this run before. */
  readonly known?: KnownPrograms | undefined;
}

/** The source of the activations of the pass that takes the most: the device's compiler, or liveness and a model of the engine's buffers. */
export type MemorySource = 'compiler' | 'model';

export interface EstimateParams extends Pick<PlanFacts, 'recipe' | 'headers'>, PriceOptions {
  /** config.json of the model that the recipe's learns from. */
  readonly teacherConfig?: PlanFacts['headers']['config'] | undefined;
  /** config.json of the reward model that scores answers. */
  readonly judgeConfig?: PlanFacts['judgeConfig'];
  /** The memory that all processes of the run may take together. */
  readonly usableBytes?: number;
  /** The engine that will run; where it is not known, the recipe's, and TensorFlow for `auto`. */
  readonly engine?: EngineName;
  /** The device; a processor if left out. */
  readonly device?: 'cpu' | 'gpu';
  /** The graphics card, where it is named. */
  readonly card?: ComputesOn['card'];
  /** The GPU that is there, where no card is named. */
  readonly gpu?: ComputesOn['gpu'];
  /** Each process, and each of its devices, has a memory of its own, as on cards: `usableBytes` and `runBytes` are those of one. */
  readonly apart?: boolean | undefined;
  /** Whether the other methods are estimated, too, each at the nearest number of trained parameters. */
  readonly compare?: boolean;
}

/** One level of recomputation, over all buckets. */
export interface LevelEstimate extends PassEstimate {
  readonly recompute: RecomputePolicy;
  readonly source: MemorySource;
  /** The nodes of the training program of the largest bucket. */
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
  /** The size of the variables that the method adds: factors and row numbers. Rows that are trained in place are part of the weights. */
  readonly trainedBytes: number;
  /** Gradients that outlive a batch (accumulation), and what their exchange has lost (int8); those within a step are among the activations. */
  readonly gradientBytes: number;
  readonly optimizerBytes: number;
  /** Optimizer state and masters that lie on disk, and those and weights in the host's memory when a GPU computes: in no total. */
  readonly offloadedBytes: number;
  /** At the level below, in the batch that takes the most; evaluation, a reward model that scores its answers, and buffers of the exchange included. */
  readonly activationBytes: number;
  /** Among the activations: a reward model while it scores answers; left out without one. */
  readonly judgeBytes?: number;
  readonly source: MemorySource;
  /** Among the activations at most: the exchange of gradients between processes or devices; left out without one. */
  readonly exchangeBytes?: number;
  /** Node, the engine's code, compiled programs, and what its allocator cannot use. */
  readonly engineOverheadBytes: number;
  readonly totalBytes: number;
  /** The level of the totals above. */
  readonly recompute: RecomputePolicy;
  readonly levels: readonly LevelEstimate[];
  readonly buckets: readonly BucketEstimate[];
}

/** The figures are those of one process, and of one of its devices. */
export interface RecipeEstimate extends MemoryEstimate {
  /** The processes of the run, which hold the same. */
  readonly processes: number;
  /** The devices of each process, which hold the same. */
  readonly devices: number;
  /**
   * The most memory of all of them, without that of further GPUs, as if all were on this machine, or of one where they are apart; or that of their
   * teachers or of the scoring pass before, if these take more.
   */
  readonly runBytes: number;
  /** The memory of one process in the teacher's pass, which ends before the model is loaded; left out without a teacher. */
  readonly teacherBytes?: number;
  /** The memory of one process in a pass that moves weights to score rows, which ends before training; left out without one. */
  readonly scoringBytes?: number;
  /** With the base in the memory of the host: compared for a run that does not fit; left out where that is not possible. */
  readonly baseOnHost?: BaseOnHost;
  /** The GPU whose memory this is, and what is assumed of it; left out for the memory of the machine, and of a card that was named. */
  readonly gpu?: DeviceCard;
  readonly alternatives: readonly MemoryEstimate[];
}

/**
 * From some 20 ms a level and bucket, whatever the number of blocks, where they are alike; from some 200 ms where steps are fused.
 * @throws as `planRun` does
 */
export function estimateRecipe(params: EstimateParams): RecipeEstimate {
  const { recipe, headers } = params;
  const facts = { recipe, headers, on: computesOn(params), judgeConfig: params.judgeConfig };
  const plan = planRun(facts);
  // One planner for all methods and levels, which are much alike.
  const fuse = planner();
  const { processes, devices } = recipe;
  const copies = copiesInMemory(recipe, facts.on, params.apart);
  const usableBytes = params.usableBytes === undefined ? undefined : params.usableBytes / copies;
  const own = priceAsRun(facts, plan, { ...params, usableBytes }, fuse);
  const others = methodNames.filter(method => params.compare && method !== recipe.method);
  // At the level of the recipe's own method, so that the difference is the method's.
  const alike = { ...facts, recompute: own.recompute };
  const alternatives = others.flatMap(method => {
    const other = alternative(alike, plan, { method, trainable: own.trainable });
    return other ? [priceRun(other, { usableBytes }, fuse)] : [];
  });
  const { teacherConfig } = params;
  const teacherBytes = teacherConfig && priceTeacher(recipe, teacherConfig, facts.on);
  const scoringBytes = priceMovement(recipe, plan);
  // What comes before training computes on one device of each process.
  const runBytes = Math.max(copies * own.totalBytes, (params.apart ? 1 : processes) * Math.max(teacherBytes ?? 0, scoringBytes ?? 0));
  const { usableBytes: limit = Number.POSITIVE_INFINITY } = params;
  const estimate = (other: Recipe) => estimateRecipe({ ...params, recipe: other, compare: false, allLevels: false });
  const baseOnHost =
    params.compare !== false && runBytes > limit ? priceOnHost(recipe, facts.on, { usableBytes: limit, estimate }) : undefined;
  return {
    ...own,
    processes,
    devices,
    runBytes,
    ...(teacherBytes !== undefined && { teacherBytes }),
    ...(scoringBytes !== undefined && { scoringBytes }),
    ...(params.gpu && params.card === undefined && { gpu: params.gpu }),
    ...(baseOnHost && { baseOnHost }),
    alternatives,
  };
}

/**
 * Returns the memory of the programs that a run of the recipe has compiled. A run that took the kernel of its device for attention has compiled none
 * with chunks, so with `attention: auto`, programs with the kernel are looked for first.
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

/** Undefined for a method that does not take these targets (lora has no norms). */
function alternative(
  facts: PlanFacts,
  { model, settings }: RunPlan,
  { method, trainable }: { readonly method: MethodName; readonly trainable: number },
): RunPlan | undefined {
  try {
    return planMethod(facts, model, method, nearestSettings(model, method, settings, trainable));
  } catch (error) {
    if (error instanceof TargetError) return undefined;
    throw error;
  }
}

/** The memory of a plan: of the very programs that its run compiles. What their compiler has counted is used where it has counted them all. */
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
    // A compiler has counted the sums within its program too.
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

/** Runs compile all of their programs, but those of a reward model are never among the known ones. */
const mayCount = ({ ofCard }: KnownPrograms, judge: MeasuredPass | undefined): boolean => ofCard !== undefined || judge === undefined;

/** The pass, with the bytes that the compiler has counted, if it has. */
const counting = (pass: MeasuredPass, bytes: number | undefined): PricedPass =>
  bytes === undefined ? pass : { ...pass, activationBytes: bytes, source: 'compiler' };

interface TracedLevel {
  readonly level: LevelEstimate;
  /** The passes of each shape of batch. */
  readonly training: readonly MeasuredPass[];
  readonly evaluation: readonly MeasuredPass[];
}

/**
 * The levels that the plan asks about; under `auto`, none behind the first that fits. What keeps everything takes longest to plan, and its
 * activations are more than those of `cheap`: it is planned only where those fit. Where not even what is held fits, the leanest says it all.
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

/** Tokens that the model knows; 0 for images. */
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
