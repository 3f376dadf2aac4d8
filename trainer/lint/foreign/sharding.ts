/** Converts the parts of DeepSpeed and FSDP configs that apply to a run on one device: where optimizer state and weights are kept. */
import { hostingEngines } from '../../catalog/engines.ts';
import { elementAt } from '../../narrow.ts';
import { type Convert, type Converted, isMap, none, type Plain, set } from './foreign-tool.ts';

/** The places that a config names; undefined for the device. */
interface Places {
  readonly optimizer: string | undefined;
  readonly parameters: string | undefined;
}

/** True if a recipe trains every weight, judging by the keys of the tools that use such configs. */
function trainsAll({ finetuning_type: type, adapter, base_model: base, model }: Plain): boolean {
  if (type !== undefined) return type === 'full';
  if (isMap(model)) return typeof model._component_ === 'string' && !/lora/.test(model._component_);
  return base !== undefined && !adapter;
}

/** Converts the places to settings. @param source the config, for the note */
function placed({ optimizer, parameters }: Places, source: string, recipe: Plain): Converted[] {
  const note = `only the offloading of ${source} is supported: a run uses one device`;
  const isOnDisk = (place: string | undefined): boolean => place !== undefined && /nvme|disk|ssd/i.test(place);
  const state = optimizer === undefined ? [] : set('optimizer_offload', isOnDisk(optimizer) ? 'disk' : 'host', note);
  if (parameters === undefined) return state;
  if (trainsAll(recipe))
    return [
      ...state,
      ...none(`${source} offloads the parameters too, but base_offload takes frozen weights, and this recipe trains all of them`),
    ];
  const isChanged = isOnDisk(optimizer) || isOnDisk(parameters);
  return [
    ...(optimizer === undefined ? [] : set('optimizer_offload', 'host', note)),
    ...set('engine', elementAt(hostingEngines, 0), 'only this engine keeps the weights of the base in host memory'),
    ...set('base_offload', 'host', isChanged ? `${source} names a disk, which this engine does not use` : note),
  ];
}

const deviceOf = (part: unknown): string | undefined => {
  const device = isMap(part) ? part.device : part;
  return typeof device === 'string' && device !== 'none' && device !== '' ? device : undefined;
};

/** Converts a DeepSpeed config: inline, or a file, whose name says by convention of both tools what it offloads. */
export const deepspeed: Convert = (value, recipe) => {
  if (typeof value === 'string') {
    if (!/offload/i.test(value)) return undefined;
    const isOfParameters = /offload[_-]?params?/i.test(value);
    const isStage3 = /(?:z|zero|stage)[_-]?3/i.test(value);
    return placed(
      { optimizer: isOfParameters ? undefined : 'cpu', parameters: isOfParameters || isStage3 ? 'cpu' : undefined },
      value,
      recipe,
    );
  }
  const zero = isMap(value) ? value.zero_optimization : undefined;
  if (!isMap(zero)) return undefined;
  const places = { optimizer: deviceOf(zero.offload_optimizer), parameters: deviceOf(zero.offload_param) };
  return places.optimizer === undefined && places.parameters === undefined ? undefined : placed(places, 'zero_optimization', recipe);
};

/** Converts the offloading of FSDP, which moves parameters, gradients and optimizer state together. */
const onHost = (source: string, recipe: Plain): Converted[] => placed({ optimizer: 'cpu', parameters: 'cpu' }, source, recipe);

/** Converts the Trainer's options: "full_shard offload", or a list of such words. */
const fsdp: Convert = (value, recipe) => {
  const all = (Array.isArray(value) ? value : [value]).flatMap(each => String(each).split(/[\s,]+/));
  return all.includes('offload') ? onHost('fsdp', recipe) : undefined;
};

/** Keys of an FSDP config, with or without the prefix that Accelerate and Axolotl add. */
const OFFLOADS = ['fsdp_offload_params', 'offload_params', 'fsdp_cpu_offload', 'cpu_offload'] as const;

const fsdpConfig: Convert = (value, recipe) => {
  if (!isMap(value)) return undefined;
  return OFFLOADS.some(key => value[key] === true || value[key] === 'true') ? onHost('fsdp_config', recipe) : undefined;
};

const offloads: Convert = (value, recipe) => (value === true ? onHost('fsdp', recipe) : none('off'));

export const shardingKeys: Readonly<Record<string, Convert>> = {
  deepspeed,
  fsdp,
  fsdp_config: fsdpConfig,
  fsdp_cpu_offload: offloads,
  fsdp_offload_params: offloads,
};
