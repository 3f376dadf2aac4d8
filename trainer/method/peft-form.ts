/** The interface between a method and PEFT: how trained values become a PEFT adapter, and how such an adapter is read. */
import { z } from 'zod';
import type { Model } from '../model/model-spec.ts';
import { isExperts, type ModuleSpec } from '../model/module-specs.ts';
import type { WeightSource } from '../model/weight-source.ts';
import type { AdapterRank, TrainedParts, VeraShape } from './trained-parts.ts';

const pattern = z.record(z.string(), z.number()).nullish();
/** The keys of adapter_config.json that are used. */
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

/** A tensor for PEFT, with our name. */
export interface PeftTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: () => Promise<Float32Array>;
  /** Set for integers, which PEFT stores as int32. */
  readonly isIndex?: true;
}

export interface ToPeftParams {
  readonly model: Model;
  /** The weights of the base. */
  readonly weights: WeightSource;
  readonly adapter: TrainedParts;
  /** The tuned modules, without those that PEFT saves as a whole. */
  readonly modules: readonly ModuleSpec[];
}

/** A method's part of a PEFT adapter. */
export interface PeftContent {
  /** Tensors of modules. */
  readonly tensors: readonly PeftTensor[];
  /** Tensors that all modules share. */
  readonly shared?: readonly PeftTensor[];
  /** Keys of adapter_config.json, including `peft_type`. `target_modules` lists names, which PEFT may need as a pattern. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** A PEFT adapter folder: its config, and the shapes of its tensors by our names. */
export interface PeftFile {
  readonly config: PeftConfig;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Names of the parameters among them that have three axes; these hold the weights of all experts. */
  readonly stacks: ReadonlySet<string>;
}

/** The parts of a PEFT adapter that belong to a method. */
export interface PeftParts {
  /** Modules with tensors of the method, in the order of the file. */
  readonly modules: readonly string[];
  readonly lora?: ReadonlyMap<string, AdapterRank>;
  readonly vera?: VeraShape;
  /** The number of changed elements of each module that stores changes and their indices. */
  readonly changes?: ReadonlyMap<string, number>;
  /** Names of tensors that do not belong to a module. */
  readonly shared?: readonly string[];
}

export interface FromPeft {
  /** True if the method reads adapters with this config. */
  readonly reads: (config: PeftConfig) => boolean;
  /** Returns the method's parts; mistakes in the file are added to `problems`. */
  readonly partsOf: (file: PeftFile, problems: string[]) => PeftParts;
  /** Returns, by name, tensors that PEFT stores in a different form from the method; those that cannot be converted are added to `problems`. */
  readonly converted?: (adapter: TrainedParts, problems: string[]) => Promise<ReadonlyMap<string, PeftTensor>>;
  /**
   * Returns replacements, by name, for modules of the adapter that Transformers holds in another form in memory.
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

/** A method's conversions to PEFT and back. */
export interface PeftForm {
  /** The `peft_type` of its adapters. */
  readonly type: string;
  /** Returns why PEFT cannot express the trained values of a module, to be listed in an error; undefined if it can. */
  readonly refuses?: (adapter: TrainedParts, module: ModuleSpec) => string | undefined;
  /** Set if it has factors of parameters (`target_parameters`): for experts, and for layers that PEFT would mistake for experts. */
  readonly takesParameters?: true;
  /** Set if it has a form for single elements of weights. */
  readonly takesElements?: true;
  readonly toPeft: (params: ToPeftParams) => PeftContent;
  /** Absent for methods that PEFT does not have: their adapters are read back as those of another method. */
  readonly fromPeft?: FromPeft;
}

const lastName = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

/**
 * True if PEFT tunes the weight of a module as a parameter: weights of experts; the router, which is not a linear layer in Transformers 5;
 * and a layer with the same name as experts, because PEFT would tune those of every block if the name were among its modules.
 */
export const isParameterTarget = ({ modules }: Model, module: ModuleSpec): boolean =>
  isExperts(module) ||
  module.part === 'router' ||
  (module.kind === 'linear' && modules.some(other => isExperts(other) && lastName(other.name) === lastName(module.name)));

/** The name of a module's weight in Transformers' memory, as used in `target_parameters`. */
export const parameterInMemory = (module: ModuleSpec): string =>
  isExperts(module) ? `${module.fused.module}.${module.fused.parameter}` : `${module.inMemory ?? module.name}.weight`;
