/**
 * The interface of a tuning method: where trained parameters are attached, their effect on the forward pass, and their
 * initial values.
 */

import type { MethodName } from '../catalog/methods.ts';
import type { VariableSpec } from '../graph/graph.ts';
import type { Place, VariableData } from '../graph/program.ts';
import type { Model } from '../model/model-spec.ts';
import { isBatchNorm, type ModuleSpec } from '../model/module-specs.ts';
import type { BatchNormMode, LinearHook } from '../model/tracer.ts';
import type { WeightSource } from '../model/weight-source.ts';
import type { WeightStorage } from '../model/weight-storage.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import type { Budget, Selection } from '../selection.ts';
import type { PeftForm } from './peft-form.ts';
import type { TargetSettings } from './targets.ts';
import type { ExpectedTensor, LoraRank, TrainedParts, VeraShape } from './trained-parts.ts';

/** Numbers of a variable by their place: which of them a method trains. */
export interface Chosen {
  /** int32 [count], the variable that holds the places. */
  readonly variable: VariableSpec;
  readonly indices: Int32Array;
}

/** Rows and columns whose elements are trained. */
export interface ChosenCross {
  readonly rows: Chosen;
  readonly columns: Chosen;
  /** For each trained element its place in the flat gradients of the rows [r, in] and then the columns [out, c]. */
  readonly places: Chosen;
}

/** One block of trained numbers. Its optimizer state has the same shape. */
export interface Trainable {
  /** Unique; names the tensor in checkpoints and adapters. */
  readonly name: string;
  /** The variable that holds the numbers. */
  readonly variable: VariableSpec;
  /** Only these rows of the variable are trained, in place. */
  readonly rows?: Chosen;
  /** With a second choice of rows: 1 for each of `rows` that began then, 0 for each that had been trained before. */
  readonly young?: Float32Array;
  /** Only these columns of the variable [out, in] are trained, in place. */
  readonly columns?: Chosen;
  /** Only these single elements of the variable are trained, in place, counted in its flat order. With none of the three: all of it. */
  readonly elements?: Chosen;
  /**
   * float32, where the variable holds the numbers rounded to fewer bits, or lies in the host's memory: what the optimizer moves. Of rows,
   * columns or elements [1, …shape]: one row, so that all of it is written in place; of a whole variable its own shape.
   */
  readonly master?: VariableSpec;
  /**
   * For elements that fill whole rows and columns of a matrix: how their gradient is computed without that of the whole
   * weight.
   */
  readonly cross?: ChosenCross;
  /**
   * Trainables of one batch get their gradients close together, so that one update can serve them all; they are whole variables, or have rows
   * of one length, or as many columns.
   */
  readonly batch?: string;
  /** Weight decay leaves it alone. */
  readonly undecayed?: true;
  /** Its learning rate is the run's times this; 1 if absent. */
  readonly rateFactor?: number;
  /** Shape of what is trained: [r, …] with rows, [out, c] with columns, [k] with elements, else the variable's. */
  readonly shape: readonly number[];
  /** Present where adapters and checkpoints hold it in another form. */
  readonly stored?: StoredForm | undefined;
}

/** How adapters and checkpoints hold numbers that mean something else to the base than to the weights that are trained with. */
export interface StoredForm {
  readonly shape: readonly number[];
  readonly fromTrained: (values: Float32Array) => Float32Array;
  readonly toTrained: (stored: Float32Array) => Float32Array;
}

/** Start values that are taken out of weights of the base. */
export interface TakenStart {
  /** Returns what the engine holds of a weight, given in float32 after `derived` saw it; undefined for all of it. */
  readonly restOf: (weight: VariableData) => VariableData | undefined;
  /** Takes the start values from the tensors of a checkpoint in place of the base. Called before the weights are loaded. */
  readonly restore: (read: (name: string) => Promise<Float32Array>) => Promise<void>;
  /** The start values, which the process keeps for its checkpoints. */
  readonly kept: readonly VariableSpec[];
}

/** A weight of the base on its way into the engine: in float32, and as the bits that it came in, where those are bfloat16. */
export interface LoadedWeight extends VariableData {
  readonly bits?: Uint16Array | undefined;
}

/** A trainable inside a weight of the model, with the variable that holds its start values, [1, …shape] in the weight's element type. */
export interface StartCopy {
  readonly trainable: Trainable;
  readonly copy: VariableSpec;
}

/** The places that are trained, where not all are. */
export const chosenOf = ({ rows, columns, elements }: Pick<Trainable, 'rows' | 'columns' | 'elements'>): Chosen | undefined =>
  rows ?? columns ?? elements;

export interface Attachment {
  readonly method: MethodName;
  /** Modules with two factors. */
  readonly lora?: ReadonlyMap<string, LoraRank>;
  readonly vera?: VeraShape;
  readonly trainables: readonly Trainable[];
  readonly linearHook?: LinearHook;
  /** Start values of the variables that the method adds to the model's own. */
  readonly initial: () => Iterable<VariableData>;
  /** Variables that the method adds and does not train. */
  readonly frozen?: readonly VariableSpec[];
  /** Running statistics of batch norm, where training updates them; they are stored with what is trained. */
  readonly buffers?: readonly VariableSpec[];
  /** How the model's weights are held; float32 where not given. */
  readonly storage?: WeightStorage;
  /** The weights of the base that lie in the host's memory, by variable; none if left out. */
  readonly hosted?: ReadonlyMap<string, Place>;
  /** Present where training also reads the base: copies of what it changes inside the model's own weights. They are among the `frozen`. */
  readonly starts?: readonly StartCopy[];
  /**
   * Start values that follow from a weight of the base, in float32, asked for as that weight is loaded. They are in memory of their own: that of the
   * weight is used again.
   */
  readonly derived?: (weight: LoadedWeight) => Iterable<VariableData>;
  /** Present where the weights are held without what the method starts with. */
  readonly taken?: TakenStart;
}

export interface MethodSettings extends TargetSettings {
  /** For methods that choose rows. */
  readonly budget: Budget;
  /** For methods with a low-rank product, or with as many elements as one has. */
  readonly rank: number;
  /** The share of each weight's elements that rosa trains in addition to its product. */
  readonly sparseRatio: number;
  readonly loraAlpha: number;
  /** LoRA+: the learning rate of the factors B, relative to that of the factors A. */
  readonly loraPlusRatio: number;
  /** Dropout on the input of the low-rank product. */
  readonly loraDropout: number;
  /** The start of LoRA's factors: random and zero, or inside the weights. */
  readonly loraStart: Recipe['init_lora_weights'];
  readonly vera: VeraSettings;
  /** spsft: rows or columns of the weights, or rows and the columns that read them in the same block. */
  readonly trains: Recipe['trains'];
  /** spsft: the columns and norm entries that belong to the chosen rows are trained with them; the budget is the rows' own. */
  readonly dependencies?: boolean;
  /** spsft: the rows or columns of a head of attention are chosen together. */
  readonly heads?: boolean;
  readonly seed: number;
}

export interface VeraSettings {
  /** Seeds the frozen matrices that all layers share: PEFT's projection_prng_key. */
  readonly projectionKey: number;
  /** The initial value of the vectors d. */
  readonly dInitial: number;
}

/** Brings a method and a model together; `selection` holds the rows or elements for the methods that choose them. */
export type Attach = (model: Model, settings: MethodSettings, selection: Selection) => Attachment;

/** Modules that compute with added tensors as they are, which costs less than merging. */
export interface UnmergedTensors {
  readonly modulesOf: (model: Model, adapter: TrainedParts) => ReadonlySet<string>;
  /** The tensors that those modules compute with. */
  readonly attach: (model: Model, adapter: TrainedParts, modules: ReadonlySet<string>) => Attachment;
  /** Values of the frozen variables of that attachment. */
  readonly frozen?: (adapter: TrainedParts, attachment: Attachment) => Promise<ReadonlyMap<string, Float32Array>>;
}

/** Tensors of an adapter that belong to a module in addition to its weights: factors, magnitudes, vectors. */
export interface AddedTensors {
  /** How the names of these tensors end, behind the name of their module and a dot. */
  readonly tensorEnds: readonly string[];
  /** Those of one module, by the description of an adapter; what the description says wrongly goes to `problems`. */
  readonly expected: (parts: TrainedParts['description'], module: ModuleSpec, problems: string[]) => readonly ExpectedTensor[];
  /** Gives how a module's weight or bias is merged with them, the value changed in place; undefined where they do not change it. */
  readonly merger: (
    adapter: TrainedParts,
    weights: Pick<WeightSource, 'tensors'>,
  ) => (module: string, isBias: boolean) => ((value: Float32Array) => Promise<Float32Array>) | undefined;
  /** Absent if all of them are merged. */
  readonly unmerged?: UnmergedTensors;
  /** Returns what is wrong with the values of these tensors for a model, where some would be. */
  readonly mistakes?: (adapter: TrainedParts, model: Model) => Promise<readonly string[]>;
}

/**
 * The exports of a folder of this room. Methods that train inside the weights (rows, single elements, whole modules)
 * need only `attach`.
 */
export interface Method {
  readonly attach: Attach;
  readonly added?: AddedTensors;
  /** Absent where PEFT has no adapter for the trained numbers. */
  readonly peft?: PeftForm;
}

/** The attachment of a run whose batch norms are `frozen`, or `updated` by its batches. */
export const withBatchNorm = (attachment: Attachment, { parameters }: Model, mode: BatchNormMode): Attachment =>
  mode === 'frozen'
    ? attachment
    : { ...attachment, buffers: parameters.flatMap(({ name, shape, buffer }) => (buffer ? [{ name, shape, dtype: 'float32' }] : [])) };

/**
 * The attachment of a run whose weight decay leaves norms and biases alone, as the Trainer of Transformers does: every bias, and the weight of every
 * norm except batch norm and scales of layers. What a method adds (factors, magnitudes, vectors) decays.
 */
export function withoutNormDecay(attachment: Attachment, { modules }: Model): Attachment {
  const left = new Set(
    modules.flatMap(module => [
      ...(module.bias ? [module.bias.name] : []),
      ...(module.kind === 'norm' && !isBatchNorm(module) && !module.decays ? [module.weight.name] : []),
    ]),
  );
  const trainables = attachment.trainables.map(trainable =>
    left.has(trainable.variable.name) ? { ...trainable, undecayed: true as const } : trainable,
  );
  return { ...attachment, trainables };
}

/** Trains all of a variable. */
export const whole = (variable: VariableSpec): Trainable => ({ name: variable.name, variable, shape: variable.shape });

export const trainableCount = (attachment: Attachment): number =>
  attachment.trainables.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 1), 0);
