/** The adapter: what a run has trained, in a file of its own beside an unchanged base model. Its words, its file names and its error. */
import type { TensorInfo } from '../hub/tensor-source.ts';
import type { MethodName } from '../method/method.ts';
import type { Selection } from '../selection.ts';

export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';
/** Written last: a folder that has it is a complete adapter. */
export const ADAPTER_DESCRIPTION = 'rowtune_adapter.json';
export const ADAPTER_VERSION = 1;

/** The model that an adapter belongs to. */
export interface AdapterBase {
  /** What the recipe said: a path or a name on the hub. */
  readonly source: string;
  readonly revision: string;
  /** `TensorSource.fingerprint()` of the base weights; absent in adapters of other tools, where nothing can be checked. */
  readonly fingerprint?: string;
  /** For example `LlamaForCausalLM`; absent in adapters of other tools. */
  readonly architecture?: string;
}

/** Of one module: y = x·Wᵀ + (alpha / r) · x·Aᵀ·Bᵀ. */
export interface LoraRank {
  readonly r: number;
  readonly alpha: number;
}

/** Everything but the trained numbers. */
export interface AdapterDescription {
  readonly method: MethodName;
  readonly base: AdapterBase;
  /** Names of the tuned modules, in the model's order. */
  readonly modules: readonly string[];
  /** spsft: the trained rows of each module, ascending. Empty for other methods. */
  readonly rows: Selection;
  /** lora: rank and alpha of each module. Empty for other methods. */
  readonly lora: ReadonlyMap<string, LoraRank>;
  /** Updates that it was trained for, where the tool that wrote it says so. */
  readonly step?: number;
  /** The label names that prompts of text_label data listed. */
  readonly labels?: readonly string[];
  /** For example `rowtune 0.1.0`. */
  readonly createdBy: string;
}

/**
 * An adapter on the disk; its numbers are read when they are asked for. Names of tensors:
 * spsft `<parameter>` [r, …], the trained rows in the order of `rows`; lora `<module>.lora_A.weight` [r, in] and
 * `<module>.lora_B.weight` [out, r]; full `<parameter>`, all of it.
 */
export interface Adapter {
  readonly dir: string;
  readonly description: AdapterDescription;
  /** The trained tensors. */
  readonly tensors: ReadonlyMap<string, Pick<TensorInfo, 'name' | 'shape'>>;
  readFloat32(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/** Name of the int32 tensor that holds a module's rows. */
export const rowsTensor = (module: string): string => `${module}.rows`;

/** The module that a trained tensor belongs to. `model.norm.weight` → `model.norm`; `….q_proj.lora_A.weight` → `….q_proj`. */
export const moduleOf = (tensor: string): string => tensor.replace(/(\.lora_[AB])?\.(weight|bias)$/, '');

/** An adapter that cannot be read, or does not belong to this model: all that is wrong, and what to do. */
export class AdapterError extends Error {
  override name = 'AdapterError';
  readonly problems: readonly string[];

  constructor(where: string, problems: readonly string[], remedy: string) {
    const shown = problems.slice(0, MAX_PROBLEMS_SHOWN);
    const more = problems.length > shown.length ? [`and ${problems.length - shown.length} more`] : [];
    const body = problems.length === 1 ? ` ${shown[0]}. ` : `${[...shown, ...more].map(line => `\n  - ${line}`).join('')}\n`;
    super(`the adapter ${where}:${body}${remedy}`);
    this.problems = problems;
  }
}

/** Enough to see a pattern; a wrong base disagrees in every module. */
const MAX_PROBLEMS_SHOWN = 20;
