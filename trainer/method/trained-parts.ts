/** The content of a model's adapter as a method sees it: which parts were trained, and their values. */
import type { MethodName } from '../catalog/methods.ts';
import type { Selection } from '../selection.ts';

/** For one module: y = x·Wᵀ + (alpha / r) · (x·Aᵀ·Bᵀ + c). */
export interface AdapterRank extends LoraRank {
  /** Adapters of PEFT with lora_bias: B has a bias c, which adds to the module's own. */
  readonly hasBias?: true;
}

export interface PartsDescription {
  readonly method: MethodName;
  /** Names of the tuned modules, in the model's order. */
  readonly modules: readonly string[];
  /** The trained rows of each module that is trained by rows, ascending. */
  readonly rows: Selection;
  /** The trained columns of the weight of each module that is trained by columns, ascending. */
  readonly columns: Selection;
  /** The trained elements of the weight of each module that is trained by single elements, ascending, in its flat order. */
  readonly elements: Selection;
  /** For modules whose elements are given by their changes and places, as PEFT has them: how many. */
  readonly changes?: ReadonlyMap<string, number>;
  /** Rank and alpha of each module that has two factors; with the method dora it has magnitudes too. */
  readonly lora: ReadonlyMap<string, AdapterRank>;
  /** For the method vera. */
  readonly vera?: VeraShape;
  /** Modules that were trained whole. */
  readonly whole: readonly string[];
}

export interface TrainedParts {
  readonly description: PartsDescription;
  /** The trained tensors. */
  readonly tensors: ReadonlyMap<string, { readonly name: string; readonly shape: readonly number[] }>;
  readonly readFloat32: (name: string) => Promise<Float32Array>;
}

/** One tensor that an adapter of a description must hold. */
export interface ExpectedTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** The two factors of one weight: their product is scaled by alpha / r. */
export interface LoraRank {
  readonly r: number;
  readonly alpha: number;
}

/** The frozen matrices that all layers of vera share. */
export interface VeraShape {
  readonly r: number;
  /** The widest input and output among the targets; an adapter that does not hold the matrices may leave the input at 0. */
  readonly input: number;
  readonly output: number;
  readonly projectionKey: number;
}
