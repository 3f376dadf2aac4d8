/** Derives the settings of method and optimizer from a recipe, so that training and the memory estimate agree. */

import { ASSUMED_CARD, type CardName, fillingRows } from '../catalog/cards.ts';
import type { DeviceCard } from '../catalog/device-card.ts';
import { type EngineName, engineCatalog } from '../catalog/engines.ts';
import type { ComputedParts } from '../graph/graph.ts';
import { type Attachment, type MethodSettings, withBatchNorm, withoutNormDecay } from '../method/method.ts';
import { HOSTED_FROM } from '../model/hosted-weights.ts';
import type { Model } from '../model/model-spec.ts';
import type { Precision } from '../model/weight-storage.ts';
import { loraStart } from '../protocol/recipe/lora-start.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { choosesHeads, hasDependencies, rowsBudget, trainedUnit } from '../protocol/recipe/rows-budget.ts';
import { EIGHT_BIT_FROM } from './eight-bit.ts';
import { OFFLOAD_FROM } from './optimizer-offload.ts';
import type { Offload, OptimizerSettings } from './optimizer-settings.ts';

export const methodSettings = (recipe: Omit<Recipe, 'model'>): MethodSettings => ({
  targetModules: recipe.target_modules,
  freeze: recipe.freeze,
  budget: rowsBudget(recipe),
  trains: trainedUnit(recipe),
  dependencies: hasDependencies(recipe),
  heads: choosesHeads(recipe),
  modulesToSave: recipe.modules_to_save,
  rank: recipe.r ?? 0,
  sparseRatio: recipe.sparse_ratio,
  // rsLoRA (Kalajdzievski 2023) scales by lora_alpha / √r.
  loraAlpha: recipe.use_rslora ? recipe.lora_alpha * Math.sqrt(recipe.r ?? 1) : recipe.lora_alpha,
  loraPlusRatio: recipe.loraplus_lr_ratio,
  loraDropout: recipe.lora_dropout,
  loraStart: loraStart(recipe),
  vera: { projectionKey: recipe.projection_prng_key, dInitial: recipe.d_initial },
  seed: recipe.seed,
});

/** The attachment of a method, with the recipe's training settings. */
export function withTraining(
  attachment: Attachment,
  model: Model,
  recipe: Pick<Recipe, 'batch_norm' | 'decay_norms_and_biases'>,
): Attachment {
  const attached = withBatchNorm(attachment, model, recipe.batch_norm);
  return recipe.decay_norms_and_biases ? attached : withoutNormDecay(attached, model);
}

/** How a recipe's run stores weights and computes; `auto` counts as float32 until the device has been measured. */
export const precisionOf = ({ dtype, quantize }: Pick<Recipe, 'dtype' | 'quantize'>): Precision => ({
  dtype: dtype === 'auto' ? 'float32' : dtype,
  quantize,
});

const OPTIMIZERS: Readonly<Record<Recipe['optim'], Pick<OptimizerSettings, 'name' | 'eightBitFrom'>>> = {
  adamw: { name: 'adamw' },
  adam: { name: 'adam' },
  adamw_8bit: { name: 'adamw', eightBitFrom: EIGHT_BIT_FROM },
  adam_8bit: { name: 'adam', eightBitFrom: EIGHT_BIT_FROM },
  sgd: { name: 'sgd' },
};

/** The engine of a run. */
export interface ComputesOn {
  readonly engine: EngineName;
  readonly device: 'cpu' | 'gpu';
  /** The graphics card, if the recipe names one. */
  readonly card?: CardName | undefined;
  /** The GPU of this computer, if no card is named. */
  readonly gpu?: DeviceCard | undefined;
}

/**
 * Number of copies of a run that share one memory, that of the machine: one per process, and one per device if the processor is divided
 * into devices. Other devices have their own memory.
 * @param apart every process and device has its own memory, such as a separate card
 */
export const copiesInMemory = (
  { processes, devices }: Pick<Recipe, 'processes' | 'devices'>,
  { device }: Pick<ComputesOn, 'device'>,
  apart = false,
): number => (apart ? 1 : processes * (device === 'cpu' ? devices : 1));

/** The rows that fill a product on the card named, or on the GPU here; undefined on a processor or a device of which nothing is known. */
export function fillingRowsOn({ device, card, gpu }: ComputesOn): number | undefined {
  const known = card ?? (gpu && (gpu.card ?? ASSUMED_CARD));
  return device === 'gpu' && known ? fillingRows(known) : undefined;
}

/** The parts of a batch that the devices of one process compute, one each; undefined for one device. */
export const deviceParts = ({ devices }: Pick<Recipe, 'devices'>): ComputedParts | undefined =>
  devices > 1 ? { count: devices, own: 'each' } : undefined;

/** The place that the optimizer state is offloaded to. Without a GPU, everything is in host memory anyway. */
function offloadOf({ optimizer_offload: to }: Recipe, { engine, device }: ComputesOn): Offload | undefined {
  const { offloadsTo, updatesOnHost = false } = engineCatalog[engine];
  if (to === 'none' || !offloadsTo.includes(to) || (to === 'host' && device === 'cpu')) return undefined;
  return { to, fromGpu: updatesOnHost && device === 'gpu', from: OFFLOAD_FROM };
}

/** Minimum size in bytes of the block weights kept in host memory; undefined if none are. */
export const hostFrom = ({ base_offload: to }: Recipe, { engine }: Pick<ComputesOn, 'engine'>): number | undefined =>
  to === 'host' && engineCatalog[engine].hostsWeights ? HOSTED_FROM : undefined;

/** @param on undefined if nothing is updated, so there is no optimizer state */
export const optimizerSettings = (recipe: Recipe, on?: ComputesOn): OptimizerSettings => ({
  ...OPTIMIZERS[recipe.optim],
  offload: on && offloadOf(recipe, on),
  weightDecay: recipe.weight_decay,
  beta1: recipe.adam_beta1,
  beta2: recipe.adam_beta2,
  epsilon: recipe.adam_epsilon,
  momentum: recipe.momentum,
});
