/** Configs of DeepSpeed and FSDP: what of them applies to a run on one device, which is where state and weights lie. */
import { hostingEngines } from '../../catalog/engines.ts';
import { elementAt } from '../../narrow.ts';
import { type Convert, type Converted, isMap, none, type Plain, set } from './foreign-tool.ts';

/** The places of a config, as it names them; undefined for the device. */
interface Places {
  readonly optimizer: string | undefined;
  readonly parameters: string | undefined;
}

/** Whether a recipe trains every weight, by the keys of the tools that have such configs. */
function trainsAll({ finetuning_type: type, adapter, base_model: base, model }: Plain): boolean {
  if (type !== undefined) return type === 'full';
  if (isMap(model)) return typeof model._component_ === 'string' && !/lora/.test(model._component_);
  return base !== undefined && !adapter;
}

/** @param source the config, for the note */
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

/** A config of DeepSpeed: written here, or a file, whose name says what it offloads by the custom of both tools. */
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

/** FSDP moves parameters, gradients and the optimizer's state, all of them or none. */
const onHost = (source: string, recipe: Plain): Converted[] => placed({ optimizer: 'cpu', parameters: 'cpu' }, source, recipe);

/** Words of the Trainer: "full_shard offload", or a list of them. */
const fsdp: Convert = (value, recipe) => {
  const all = (Array.isArray(value) ? value : [value]).flatMap(each => String(each).split(/[\s,]+/));
  return all.includes('offload') ? onHost('fsdp', recipe) : undefined;
};

/** Keys of a config of FSDP, with or without the prefix that Accelerate and Axolotl write. */
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
