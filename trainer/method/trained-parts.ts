/** The content of a model's adapter as a method sees it: the trained parts and their values. */
import type { MethodName } from '../catalog/methods.ts';
import type { Selection } from '../selection.ts';

/** The factors of one module: y = x·Wᵀ + (alpha / r) · (x·Aᵀ·Bᵀ + c). */
export interface AdapterRank extends LoraRank {
  /** Set for PEFT adapters with lora_bias: B has a bias c, which is added to the module's own. */
  readonly hasBias?: true;
}

export interface PartsDescription {
  readonly method: MethodName;
  /** Names of the tuned modules, in the model's order. */
  readonly modules: readonly string[];
  /** The trained rows of each module that is trained by rows, in ascending order. */
  readonly rows: Selection;
  /** The trained columns of the weight of each module that is trained by columns, in ascending order. */
  readonly columns: Selection;
  /** The trained elements of the weight of each module that is trained by single elements: flat indices in ascending order. */
  readonly elements: Selection;
  /** The number of elements of each module that stores changes and their indices, as in PEFT. */
  readonly changes?: ReadonlyMap<string, number>;
  /** Rank and alpha of each module with two factors; with the method dora it has magnitudes too. */
  readonly lora: ReadonlyMap<string, AdapterRank>;
  /** The shared matrices of the method vera. */
  readonly vera?: VeraShape;
  /** Modules that were trained as a whole. */
  readonly whole: readonly string[];
}

export interface TrainedParts {
  readonly description: PartsDescription;
  /** The trained tensors. */
  readonly tensors: ReadonlyMap<string, { readonly name: string; readonly shape: readonly number[] }>;
  readonly readFloat32: (name: string) => Promise<Float32Array>;
}

/** One tensor that an adapter must contain according to its description. */
export interface ExpectedTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Rank and alpha of the two factors of one weight, whose product is multiplied by alpha / r. */
export interface LoraRank {
  readonly r: number;
  readonly alpha: number;
}

/** The frozen matrices that all layers of vera share. */
export interface VeraShape {
  readonly r: number;
  /** The widest input and output among the targets; input may be 0 in an adapter that does not store the matrices. */
  readonly input: number;
  readonly output: number;
  readonly projectionKey: number;
}
