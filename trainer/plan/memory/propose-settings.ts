/** Proposes settings of a recipe that fit into the free memory, fastest first: batch and accumulation, recompute level, rank. */
import { methodCatalog } from '../../catalog/methods.ts';
import type { RecomputePolicy } from '../../graph/recompute.ts';
import { partsOfBatch } from '../../protocol/recipe/global-batch.ts';
import { type Recipe, settings } from '../../protocol/recipe/recipe-schema.ts';
import { takesNegativesFromBatch } from '../../protocol/recipe/rules/embedding-rules.ts';
import { copiesInMemory } from '../../train/recipe-settings.ts';
import { withBaseOnHost } from './base-on-host.ts';
import { mostBefore } from './passes-before.ts';
import { computesOn, type EstimateParams, estimateRecipe, type LevelEstimate, type MemorySource, type RecipeEstimate } from './predict.ts';
import { priceTeacher } from './price-teacher.ts';

/** One way to run the recipe. An optimizer step always has as many samples as the recipe specifies. */
export interface PlanOption {
  readonly batch: number;
  readonly accumulation: number;
  readonly recompute: RecomputePolicy;
  /** Rows or rank, if it must be lower than the recipe's because nothing else fits. */
  readonly r?: number;
  /** Bytes in the host's memory, if the base is stored there; `cost` does not include moving them to the device. */
  readonly hostBytes?: number;
  readonly totalBytes: number;
  /** Memory of one process in the teacher's pass, which ends before the model is loaded; omitted without a teacher. */
  readonly teacherBytes?: number;
  /** Memory of one process while it reads images, before the model is loaded; omitted without images. */
  readonly encoderBytes?: number;
  readonly activationBytes: number;
  readonly source: MemorySource;
  /** Work of an optimizer step relative to the cheapest option considered, whether it fits or not. */
  readonly cost: number;
  /** The overrides to append to `rowtune train RECIPE`. */
  readonly overrides: readonly string[];
}

export interface MemoryPlanning {
  /** Memory that each process of the run may take. */
  readonly usableBytes: number;
  /** Options that fit, fastest first. */
  readonly options: readonly PlanOption[];
  /** The option with the least memory, whether it fits or not. */
  readonly least: PlanOption;
}

/**
 * Cost of a node beyond its arithmetic, in equivalent operations: the engine takes 2 µs per node (engine/tensorflow/session.ts), during
 * which one core multiplies matrices at 175 GFLOP/s (bench/results/llm-1-xeon.md). So small batches cost more than one large batch.
 */
const FLOPS_A_NODE = 3.5e5;

/** Ranks to try if the recipe's own does not fit, as fractions of it. */
const RANK_SHARES = [1 / 2, 1 / 4, 1 / 8, 1 / 16] as const;

/** Finds the options. @throws as `estimateRecipe` does */
export function planMemory(params: EstimateParams & { readonly usableBytes: number }): MemoryPlanning {
  const usableBytes = params.usableBytes / copiesInMemory(params.recipe, computesOn(params), params.isPerDevice);
  const planned: Planned = { ...params, teacherFor: teacherFor(params, usableBytes) };
  const fits = (option: PlanOption): boolean => peakBytes(option) <= usableBytes;
  const own = optionsOf(planned);
  const all = own.some(fits) ? own : [...own, ...lowerRanks(planned), ...onHost(planned, usableBytes)];
  const cheapest = Math.min(...all.map(({ cost }) => cost));
  const relative = all.map(option => ({ ...option, cost: option.cost / cheapest }));
  const options = relative.filter(fits).sort(fastestFirst);
  const least = relative.reduce((a, b) => ((peakBytes(b) - peakBytes(a) || b.totalBytes - a.totalBytes) < 0 ? b : a));
  const [here, there] = [
    options.filter(({ hostBytes }) => hostBytes === undefined),
    options.filter(({ hostBytes }) => hostBytes !== undefined),
  ];
  return { usableBytes, options: [...withoutWorse(here), ...withoutWorse(there)], least };
}

/** Returns the peak memory of one process: a teacher or an encoder and the model are never loaded at the same time. */
const peakBytes = (option: PlanOption): number => Math.max(option.totalBytes, mostBefore(option));

/** The batch size of a teacher's pass, and its memory. */
interface TeacherBatch {
  readonly batch: number;
  readonly bytes: number;
}

interface Planned extends EstimateParams {
  /** Returns the largest batch of the teacher's pass, up to this one, that fits; if none does, one sample. Undefined without a teacher. */
  readonly teacherFor: (batch: number) => TeacherBatch | undefined;
}

/** Returns that function. The pass uses the batches of an evaluation. */
function teacherFor(params: EstimateParams, usableBytes: number): Planned['teacherFor'] {
  const { recipe, teacherConfig } = params;
  const priced = new Map<number, number | undefined>();
  const price = (batch: number): number | undefined => {
    if (teacherConfig === undefined) return undefined;
    if (!priced.has(batch))
      priced.set(batch, priceTeacher({ ...recipe, per_device_eval_batch_size: batch }, teacherConfig, computesOn(params)));
    return priced.get(batch);
  };
  const find = (batch: number): TeacherBatch | undefined => {
    const bytes = price(batch);
    if (bytes === undefined) return undefined;
    return bytes <= usableBytes || batch === 1 ? { batch, bytes } : find(Math.floor(batch / 2));
  };
  return find;
}

/** Orders by cost; at equal cost, the option with less memory comes first. */
const fastestFirst = (a: PlanOption, b: PlanOption): number => (b.r ?? 0) - (a.r ?? 0) || a.cost - b.cost || a.totalBytes - b.totalBytes;

/** Drops options that cost more than an earlier one without taking less memory. */
const withoutWorse = (sorted: readonly PlanOption[]): PlanOption[] => {
  let least = Number.POSITIVE_INFINITY;
  return sorted.filter(({ totalBytes }) => {
    if (totalBytes >= least) return false;
    least = totalBytes;
    return true;
  });
};

function optionsOf({ teacherFor, ...params }: Planned): PlanOption[] {
  const { recipe } = params;
  return (takesNegativesFromBatch(recipe) ? miniBatchings(recipe) : batchings(recipe)).flatMap(batched => {
    const teacher = teacherFor(batched.per_device_eval_batch_size);
    const planned = teacher ? { ...batched, per_device_eval_batch_size: teacher.batch } : batched;
    const found = estimateRecipe({ ...params, teacherConfig: undefined, recipe: planned, compare: false, allLevels: true });
    return found.levels.map(level => ({ ...toOption(recipe, planned, found, level), ...(teacher && { teacherBytes: teacher.bytes }) }));
  });
}

function batchings(recipe: Recipe): Recipe[] {
  const { per_device_train_batch_size: own, per_device_eval_batch_size: evaluation, gradient_accumulation_steps: steps } = recipe;
  return batchSizes(own, steps).map(batch => ({
    ...recipe,
    per_device_train_batch_size: batch,
    // An evaluation batch as large as the train batch, as by default, is reduced too: otherwise a smaller train batch would save nothing.
    per_device_eval_batch_size: evaluation === own ? batch : evaluation,
    gradient_accumulation_steps: (own * steps) / batch,
  }));
}

/** Keeps the batch, since another size would change the loss, and passes its samples through the model in smaller groups. */
function miniBatchings(recipe: Recipe): Recipe[] {
  const { per_device_train_batch_size: batch, per_device_eval_batch_size: evaluation, embedding } = recipe;
  const own = embedding.mini_batch_size ?? batch;
  const smaller = batchSizes(batch, 1).filter(size => size < own);
  const inMiniBatches = smaller.map(size => ({
    ...recipe,
    embedding: { ...embedding, mini_batch_size: size },
    per_device_eval_batch_size: evaluation === own ? size : evaluation,
  }));
  return [recipe, ...inMiniBatches];
}

const maximumOf = (setting: string): number => settings[setting]?.type.maximum ?? Number.POSITIVE_INFINITY;

/**
 * Returns the recipe's own batch, powers of two that divide the samples of a step, and all samples at once, within the limits of a recipe.
 */
function batchSizes(own: number, steps: number): number[] {
  const effective = own * steps;
  const sizes = new Set([effective, own]);
  for (let size = 1; size < effective; size *= 2) if (effective % size === 0) sizes.add(size);
  const mostSteps = maximumOf('gradient_accumulation_steps');
  return [...sizes].filter(size => size <= maximumOf('per_device_train_batch_size') && effective / size <= mostSteps);
}

function lowerRanks(params: Planned): PlanOption[] {
  const { recipe } = params;
  const { r } = recipe;
  if (r === undefined || methodCatalog[recipe.method].r === undefined) return [];
  const ranks = new Set(RANK_SHARES.map(share => Math.max(1, Math.floor(r * share))));
  return [...ranks].flatMap(rank =>
    optionsOf({ ...params, recipe: { ...recipe, r: rank } }).map(option => ({
      ...option,
      r: rank,
      overrides: [...option.overrides, `r=${rank}`],
    })),
  );
}

/** Returns options with the recipe's own rank and the base in the host's memory. */
function onHost(params: Planned, usableBytes: number): PlanOption[] {
  const hosted = withBaseOnHost(params.recipe, computesOn(params));
  if (!hosted) return [];
  const { recipe, overrides } = hosted;
  return optionsOf({ ...params, recipe, teacherFor: teacherFor({ ...params, recipe }, usableBytes) }).map(option => ({
    ...option,
    overrides: [...overrides, ...option.overrides],
  }));
}

function toOption(recipe: Recipe, planned: Recipe, found: RecipeEstimate, level: LevelEstimate): PlanOption {
  const { per_device_train_batch_size: batch, per_device_eval_batch_size: evaluation, gradient_accumulation_steps: accumulation } = planned;
  const { mini_batch_size: miniBatch } = planned.embedding;
  const changed = [
    ...(batch === recipe.per_device_train_batch_size ? [] : [`per_device_train_batch_size=${batch}`]),
    // Needed even if its default would follow the train batch: the recipe may set it.
    ...(evaluation === recipe.per_device_eval_batch_size ? [] : [`per_device_eval_batch_size=${evaluation}`]),
    ...(miniBatch === recipe.embedding.mini_batch_size ? [] : [`embedding.mini_batch_size=${miniBatch}`]),
    ...(accumulation === recipe.gradient_accumulation_steps ? [] : [`gradient_accumulation_steps=${accumulation}`]),
    ...(level.recompute === recipe.recompute ? [] : [`recompute=${level.recompute}`]),
  ];
  return {
    batch,
    accumulation,
    recompute: level.recompute,
    totalBytes: found.totalBytes - found.activationBytes - found.engineOverheadBytes + level.activationBytes + level.engineOverheadBytes,
    activationBytes: level.activationBytes,
    ...(planned.base_offload === 'host' && { hostBytes: found.offloadedBytes }),
    ...(found.encoderBytes !== undefined && { encoderBytes: found.encoderBytes }),
    source: level.source,
    cost: accumulation * (level.flops + FLOPS_A_NODE * level.nodes),
    overrides: changed,
  };
}

/** Describes the settings to change if nothing fits. */
export function describeNothingFits({ usableBytes, least }: MemoryPlanning, recipe: Recipe): string {
  const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  const parts = recipe.devices > 1 ? `${recipe.devices} devices` : `${recipe.processes} processes`;
  const each = partsOfBatch(recipe) > 1 ? ` for each of ${parts}` : '';
  const { teacherBytes = 0, encoderBytes = 0 } = least;
  if (encoderBytes > usableBytes)
    return `nothing fits into ${megabytes(usableBytes)}${each}: the encoder of images alone takes ${megabytes(encoderBytes)}. Lower data.image_max_pixels, if the model takes images of several sizes, or use a smaller model`;
  if (teacherBytes > usableBytes)
    return `nothing fits into ${megabytes(usableBytes)}${each}: the teacher's pass alone takes ${megabytes(teacherBytes)}, a sample at a time. Hold the teacher in fewer bits (dtype, quantize), use a smaller one, or compute its predictions on another machine (distillation.logits)`;
  const held = least.totalBytes - least.activationBytes;
  const shorter = least.activationBytes > least.totalBytes - usableBytes;
  const how = shorter
    ? `Lower max_length (${recipe.max_length}): activations are ${megabytes(least.activationBytes)} of it`
    : `Weights, optimizer and engine alone take ${megabytes(held)}: take a smaller model${methodCatalog[recipe.method].trainsWhole && methodCatalog[recipe.method].targets === 'required' ? ', or a method that trains less (spsft, lora)' : ''}`;
  return `nothing fits into ${megabytes(usableBytes)}${each}: the least is ${megabytes(least.totalBytes)}, with a batch of ${least.batch}${least.hostBytes === undefined ? '' : ', base_offload: host'} and recompute: ${least.recompute}. ${how}`;
}
