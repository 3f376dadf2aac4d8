/** The interface of a tuning method: where it attaches trained parameters, how they affect the forward pass, and their initial values. */

import type { MethodName } from '../catalog/methods.ts';
import type { VariableSpec } from '../graph/graph.ts';
import type { Place, VariableData } from '../graph/program.ts';
import type { Model } from '../model/model-spec.ts';
import { isBatchNorm, type ModuleSpec, ownBias } from '../model/module-specs.ts';
import type { BatchNormMode, LinearHook } from '../model/tracer.ts';
import type { WeightSource } from '../model/weight-source.ts';
import type { WeightStorage } from '../model/weight-storage.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import type { Budget, Selection } from '../selection.ts';
import type { PeftForm } from './peft-form.ts';
import type { TargetSettings } from './targets.ts';
import type { ExpectedTensor, LoraRank, TrainedParts, VeraShape } from './trained-parts.ts';

/** The elements of a variable that a method trains, by index. */
export interface Chosen {
  /** int32 [count], the variable that holds the indices. */
  readonly variable: VariableSpec;
  readonly indices: Int32Array;
}

/** Rows and columns whose elements are trained together. */
export interface ChosenCross {
  readonly rows: Chosen;
  readonly columns: Chosen;
  /** For each trained element, its index in the concatenated flat gradients of the rows [r, in] and the columns [out, c]. */
  readonly places: Chosen;
}

/** One block of trained values. Its optimizer state has the same shape. */
export interface Trainable {
  /** Unique; names the tensor in checkpoints and adapters. */
  readonly name: string;
  /** The variable that holds the values. */
  readonly variable: VariableSpec;
  /** If given, only these rows of the variable are trained, in place. */
  readonly rows?: Chosen;
  /** After a second choice of rows: 1 for each of `rows` that was added then, 0 for each that was trained before. */
  readonly young?: Float32Array;
  /** If given, only these columns of the variable [out, in] are trained, in place. */
  readonly columns?: Chosen;
  /**
   * If given, only these single elements of the variable are trained, in place; indices are in flat order. Without rows, columns or
   * elements, the whole variable is trained.
   */
  readonly elements?: Chosen;
  /**
   * The float32 values that the optimizer updates, if the variable rounds them to fewer bits or is in host memory. Shape [1, …shape] for
   * rows, columns or elements (one row, so that everything is written in place); the variable's shape for a whole variable.
   */
  readonly master?: VariableSpec;
  /** For elements that fill whole rows and columns of a matrix: how to compute their gradient without that of the whole weight. */
  readonly cross?: ChosenCross;
  /**
   * Trainables of one batch get their gradients close together, so that one update can serve them all. They are whole variables, rows of
   * equal length, or equally many columns.
   */
  readonly batch?: string;
  /** Excludes it from weight decay. */
  readonly undecayed?: true;
  /** Factor on the run's learning rate; 1 by default. */
  readonly rateFactor?: number;
  /** Shape of the trained values: [r, …] for rows, [out, c] for columns, [k] for elements, otherwise the variable's. */
  readonly shape: readonly number[];
  /** Present if adapters and checkpoints store it in another form. */
  readonly stored?: StoredForm | undefined;
}

/** The stored form of values whose meaning relative to the base differs from that relative to the weights used in training. */
export interface StoredForm {
  readonly shape: readonly number[];
  readonly fromTrained: (values: Float32Array) => Float32Array;
  readonly toTrained: (stored: Float32Array) => Float32Array;
}

/** Initial values that are taken out of weights of the base. */
export interface TakenStart {
  /**
   * Returns the values of a weight that the engine holds, given the float32 values after `derived` has read them; undefined means all of
   * it.
   */
  readonly restOf: (weight: VariableData) => VariableData | undefined;
  /** Takes the initial values from the tensors of a checkpoint instead of the base. Called before the weights are loaded. */
  readonly restore: (read: (name: string) => Promise<Float32Array>) => Promise<void>;
  /** The initial values, which the process keeps for its checkpoints. */
  readonly kept: readonly VariableSpec[];
}

/** A weight of the base while it is loaded into the engine: in float32, and also as its original bits if these are bfloat16. */
export interface LoadedWeight extends VariableData {
  readonly bits?: Uint16Array | undefined;
}

/** A trainable inside a weight of the model, with the variable that holds its initial values, [1, …shape] in the weight's element type. */
export interface StartCopy {
  readonly trainable: Trainable;
  readonly copy: VariableSpec;
}

/** The chosen indices, unless everything is trained. */
export const chosenOf = ({ rows, columns, elements }: Pick<Trainable, 'rows' | 'columns' | 'elements'>): Chosen | undefined =>
  rows ?? columns ?? elements;

export interface Attachment {
  readonly method: MethodName;
  /** Ranks of the modules with two factors. */
  readonly lora?: ReadonlyMap<string, LoraRank>;
  readonly vera?: VeraShape;
  readonly trainables: readonly Trainable[];
  readonly linearHook?: LinearHook;
  /** Initial values of the variables that the method adds to the model's own. */
  readonly initial: () => Iterable<VariableData>;
  /** Variables that the method adds but does not train. */
  readonly frozen?: readonly VariableSpec[];
  /** Running statistics of batch norm, if training updates them; they are saved with the trained values. */
  readonly buffers?: readonly VariableSpec[];
  /** How the model's weights are stored; float32 by default. */
  readonly storage?: WeightStorage;
  /** The weights of the base in host memory, by variable; none by default. */
  readonly hosted?: ReadonlyMap<string, Place>;
  /**
   * Present if training also reads the base: copies of the values that it changes inside the model's own weights. They are among the
   * `frozen`.
   */
  readonly starts?: readonly StartCopy[];
  /**
   * Initial values that are derived from a weight of the base, in float32. Called when that weight is loaded. They need their own memory:
   * that of the weight is reused.
   */
  readonly derived?: (weight: LoadedWeight) => Iterable<VariableData>;
  /** Present if the weights are stored without the method's initial values. */
  readonly taken?: TakenStart;
}

export interface MethodSettings extends TargetSettings {
  /** The row budget, for methods that choose rows. */
  readonly budget: Budget;
  /** The rank, for methods with a low-rank product or with as many elements as one. */
  readonly rank: number;
  /** The share of each weight's elements that rosa trains in addition to its product. */
  readonly sparseRatio: number;
  readonly loraAlpha: number;
  /** LoRA+: the learning rate of the factors B relative to that of the factors A. */
  readonly loraPlusRatio: number;
  /** Dropout on the input of the low-rank product. */
  readonly loraDropout: number;
  /** How LoRA's factors are initialized: at random and with zeros, or from the weights. */
  readonly loraStart: Recipe['init_lora_weights'];
  readonly vera: VeraSettings;
  /** spsft: trains rows or columns of the weights, or rows and the columns that read them in the same block. */
  readonly trains: Recipe['trains'];
  /** spsft: also trains the columns and norm entries that belong to the chosen rows; the budget counts only the rows. */
  readonly dependencies?: boolean;
  /** spsft: chooses all rows or columns of an attention head together. */
  readonly heads?: boolean;
  readonly seed: number;
}

export interface VeraSettings {
  /** Seed of the frozen matrices that all layers share: PEFT's projection_prng_key. */
  readonly projectionKey: number;
  /** The initial value of the vectors d. */
  readonly dInitial: number;
}

/** Attaches a method to a model; `selection` holds the rows or elements, for methods that choose them. */
export type Attach = (model: Model, settings: MethodSettings, selection: Selection) => Attachment;

/** Modules that can compute with unmerged added tensors, which costs less than merging. */
export interface UnmergedTensors {
  readonly modulesOf: (model: Model, adapter: TrainedParts) => ReadonlySet<string>;
  /** Attaches the tensors that these modules compute with. */
  readonly attach: (model: Model, adapter: TrainedParts, modules: ReadonlySet<string>) => Attachment;
  /** Returns the values of the frozen variables of that attachment. */
  readonly frozen?: (adapter: TrainedParts, attachment: Attachment) => Promise<ReadonlyMap<string, Float32Array>>;
}

/** Tensors of an adapter that belong to a module in addition to its weights: factors, magnitudes, vectors. */
export interface AddedTensors {
  /** Endings of the names of these tensors, after the module's name and a dot. */
  readonly tensorEnds: readonly string[];
  /**
   * Returns the expected tensors of one module, according to an adapter's description; mistakes of the description are added to `problems`.
   */
  readonly expected: (parts: TrainedParts['description'], module: ModuleSpec, problems: string[]) => readonly ExpectedTensor[];
  /** Returns a function that merges them into a module's weight or bias in place; undefined if they do not change it. */
  readonly merger: (
    adapter: TrainedParts,
    weights: Pick<WeightSource, 'tensors'>,
  ) => (module: string, isBias: boolean) => ((value: Float32Array) => Promise<Float32Array>) | undefined;
  /** Absent if all of them are merged. */
  readonly unmerged?: UnmergedTensors;
  /** Returns mistakes in the values of these tensors for a model. */
  readonly mistakes?: (adapter: TrainedParts, model: Model) => Promise<readonly string[]>;
}

/**
 * The exports of a method's folder in this room. Methods that train inside the weights (rows, single elements, whole modules) need only
 * `attach`.
 */
export interface Method {
  readonly attach: Attach;
  readonly added?: AddedTensors;
  /** Absent if PEFT has no adapter for the trained values. */
  readonly peft?: PeftForm;
}

/** The attachment of a run whose batch norms are `frozen`, or `updated` by its batches. */
export const withBatchNorm = (attachment: Attachment, { parameters }: Model, mode: BatchNormMode): Attachment =>
  mode === 'frozen'
    ? attachment
    : { ...attachment, buffers: parameters.flatMap(({ name, shape, buffer }) => (buffer ? [{ name, shape, dtype: 'float32' }] : [])) };

/**
 * The attachment of a run that excludes norms and biases from weight decay, as Transformers' Trainer does: every bias, and the weight of
 * every norm except batch norms and layer scales. Added tensors (factors, magnitudes, vectors) decay.
 */
export function withoutNormDecay(attachment: Attachment, { modules }: Model): Attachment {
  const left = new Set(
    modules.flatMap(module => [
      ...[ownBias(module)?.name ?? []].flat(),
      ...(module.kind === 'norm' && !isBatchNorm(module) && !module.decays ? [module.weight.name] : []),
    ]),
  );
  const trainables = attachment.trainables.map(trainable =>
    left.has(trainable.variable.name) ? { ...trainable, undecayed: true as const } : trainable,
  );
  return { ...attachment, trainables };
}

/** Trains a whole variable. */
export const whole = (variable: VariableSpec): Trainable => ({ name: variable.name, variable, shape: variable.shape });

export const trainableCount = (attachment: Attachment): number =>
  attachment.trainables.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 1), 0);
