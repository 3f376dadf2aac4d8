/** The interface between a method and PEFT: how trained numbers become an adapter of PEFT, and how such an adapter is read. */
import { z } from 'zod';
import type { Model } from '../model/model-spec.ts';
import { isExperts, type ModuleSpec } from '../model/module-specs.ts';
import type { WeightSource } from '../model/weight-source.ts';
import type { AdapterRank, TrainedParts, VeraShape } from './trained-parts.ts';

const pattern = z.record(z.string(), z.number()).nullish();
/** The keys of adapter_config.json that are read. */
export const peftConfigSchema = z.looseObject({
  peft_type: z.string(),
  base_model_name_or_path: z.string().nullish(),
  revision: z.string().nullish(),
  r: z.int().positive(),
  lora_alpha: z.number().nullish(),
  rank_pattern: pattern,
  alpha_pattern: pattern,
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  target_parameters: z.array(z.string()).nullish(),
  projection_prng_key: z.int().nonnegative().nullish(),
});
export type PeftConfig = z.infer<typeof peftConfigSchema>;

/** A tensor for PEFT, by our name. */
export interface PeftTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: () => Promise<Float32Array>;
  /** Whole numbers, which PEFT stores as int32. */
  readonly isIndex?: true;
}

export interface ToPeftParams {
  readonly model: Model;
  /** The base. */
  readonly weights: WeightSource;
  readonly adapter: TrainedParts;
  /** The tuned modules; those that PEFT saves as a whole are left out. */
  readonly modules: readonly ModuleSpec[];
}

/** A method's part of an adapter of PEFT. */
export interface PeftContent {
  /** Tensors of modules. */
  readonly tensors: readonly PeftTensor[];
  /** Tensors that all modules share. */
  readonly shared?: readonly PeftTensor[];
  /** Keys of adapter_config.json; `peft_type` is among them. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** An adapter folder of PEFT: its description, and the shapes of its tensors by our names. */
export interface PeftFile {
  readonly config: PeftConfig;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** The names among them of parameters of three axes, which hold the weights of all experts. */
  readonly stacks: ReadonlySet<string>;
}

/** The parts of an adapter of PEFT that belong to a method. */
export interface PeftParts {
  /** Modules with tensors of the method, in the order of the file. */
  readonly modules: readonly string[];
  readonly lora?: ReadonlyMap<string, AdapterRank>;
  readonly vera?: VeraShape;
  /** Modules whose elements are given by changes and places: how many. */
  readonly changes?: ReadonlyMap<string, number>;
  /** Names of tensors that belong to no module. */
  readonly shared?: readonly string[];
}

export interface FromPeft {
  /** Returns whether an adapter of this type is one of the method. */
  readonly reads: (config: PeftConfig) => boolean;
  /** Returns the parts of the method; mistakes of the file go to `problems`. */
  readonly partsOf: (file: PeftFile, problems: string[]) => PeftParts;
  /** Returns tensors, by name, that PEFT holds in another form than the method; those that it cannot convert go to `problems`. */
  readonly converted?: (adapter: TrainedParts, problems: string[]) => Promise<ReadonlyMap<string, PeftTensor>>;
  /**
   * Returns what the model has in place of modules of the adapter that Transformers holds in other forms in memory, by their names.
   * @param parameters names of parameters that PEFT targets
   */
  readonly fitToModel?: (
    adapter: TrainedParts,
    parameters: ReadonlySet<string>,
    model: Model,
    problems: string[],
  ) => Promise<ReadonlyMap<string, readonly FittedModule[]>>;
}

/** A module of a model, with its factors in our form. */
export interface FittedModule {
  readonly name: string;
  readonly rank: AdapterRank;
  readonly a: PeftTensor;
  readonly b: PeftTensor;
}

/** A method's two ways, to PEFT and back. */
export interface PeftForm {
  /** The `peft_type` of its adapters. */
  readonly type: string;
  /** Returns why PEFT cannot express the trained numbers of a module, for a list of modules in an error; undefined if it can. */
  readonly refuses?: (adapter: TrainedParts, module: ModuleSpec) => string | undefined;
  /** Whether it has factors of parameters (`target_parameters`): of experts, and of layers that PEFT would take for experts. */
  readonly takesParameters?: true;
  /** Whether it has a form for single elements of weights. */
  readonly takesElements?: true;
  readonly toPeft: (params: ToPeftParams) => PeftContent;
  /** Absent in methods that PEFT does not have: their adapters are read back as those of another method. */
  readonly fromPeft?: FromPeft;
}

/** Returns whether the name of another module ends with this one, so that PEFT would take that module for a target too. */
export const endsAnother = ({ modules }: Model, name: string): boolean => modules.some(other => other.name.endsWith(`.${name}`));

const lastName = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

/**
 * Returns whether PEFT tunes the weight of a module as a parameter: that of experts; of the router, which is not a linear layer in Transformers
 * 5; and of a layer of the name of experts, which PEFT takes for those of every block if it is among the modules.
 */
export const isParameterTarget = ({ modules }: Model, module: ModuleSpec): boolean =>
  isExperts(module) ||
  module.part === 'router' ||
  (module.kind === 'linear' && modules.some(other => isExperts(other) && lastName(other.name) === lastName(module.name)));

/** The name of a module's weight in the memory of Transformers, as `target_parameters` has it. */
export const parameterInMemory = (module: ModuleSpec): string =>
  isExperts(module) ? `${module.fused.module}.${module.fused.parameter}` : `${module.inMemory ?? module.name}.weight`;

/** Returns `target_modules` for these names: a list, or one pattern if a name ends that of another module. */
export const peftTargets = (model: Model, names: readonly string[]): readonly string[] | string =>
  names.some(name => endsAnother(model, name)) ? `^(${names.map(name => name.replaceAll('.', '\\.')).join('|')})$` : names;
