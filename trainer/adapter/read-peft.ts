/** Reads an adapter folder of PEFT (adapter_config.json): LoRA, DoRA, VeRA and SHiRA, with modules_to_save, in our terms. */
import { join } from 'node:path';
import { andList } from '../catalog/entries.ts';
import { type MethodName, methodCatalog, methodNames } from '../catalog/methods.ts';
import { fileSize, readConfigFile } from '../format/model-config.ts';
import { openSafetensors } from '../format/safetensors/safetensors-source.ts';
import { TORCH } from '../format/torch/torch-source.ts';
import { openWeightFiles, type WeightFiles } from '../format/weight-files.ts';
import { methods } from '../method/methods.ts';
import { type FromPeft, type PeftConfig, type PeftFile, type PeftTensor, peftConfigSchema } from '../method/peft-form.ts';
import { nameInFile } from '../method/peft-names.ts';
import { type ParameterNames, parameterNames } from '../method/peft-parameters.ts';
import { ADAPTER_WEIGHTS, type Adapter, type AdapterDescription, AdapterError, moduleOf, PEFT_TORCH_WEIGHTS } from './adapter.ts';

export const PEFT_CONFIG = 'adapter_config.json';

/** The prefix of PEFT's names: the path of the wrapped model. */
export const PEFT_PREFIX = 'base_model.model.';
/** The prefix of names that are not in the model. */
export const PEFT_SHARED_PREFIX = 'base_model.';

/**
 * Switches that change the meaning of the factors; each must be off. `fan_in_fan_out` does not: PEFT corrects it to what the kind of the layer
 * requires, and factors have the same form either way.
 */
export const UNSUPPORTED_SWITCHES = ['layer_replication', 'trainable_token_indices', 'alora_invocation_tokens'] as const;

/** Initializations for which PEFT derives the first factors from the base's weights each time it loads the adapter. */
const CHANGES_BASE = /^(pissa|olora|corda|loftq)/i;
export const changesBase = (init: unknown): init is string => typeof init === 'string' && CHANGES_BASE.test(init);

interface Reader {
  readonly method: MethodName;
  readonly type: string;
  readonly form: FromPeft;
}

/** The methods that can read adapters of PEFT. */
const readers: readonly Reader[] = methodNames.flatMap(method => {
  const { peft } = methods[method];
  return peft?.fromPeft ? [{ method, type: peft.type, form: peft.fromPeft }] : [];
});

/** The types of PEFT adapters that can be read. */
export const PEFT_TYPES: readonly string[] = [...new Set(readers.map(({ type }) => type))];

const LABELS = andList(readers.map(({ method }) => methodCatalog[method].label));

const REMEDY = `${LABELS} are read; merge this adapter with PEFT instead.`;
const NO_FORM = 'PEFT computes with it and cannot merge it either: tune without these layers, or tune them here.';

/** Opens the safetensors file, or else the file of torch.save that PEFT wrote earlier. @throws ModelFileError */
export async function openPeftWeights(dir: string): Promise<WeightFiles> {
  const older = join(dir, PEFT_TORCH_WEIGHTS);
  const hasOnlyOlder = (await fileSize(join(dir, ADAPTER_WEIGHTS))) === undefined && (await fileSize(older)) !== undefined;
  return hasOnlyOlder ? openWeightFiles(older, TORCH) : openSafetensors(join(dir, ADAPTER_WEIGHTS));
}

/** @throws AdapterError for another type of adapter, an unsupported switch, or inconsistent tensors */
export async function readPeft(dir: string): Promise<Adapter> {
  const config = await readConfigFile(join(dir, PEFT_CONFIG));
  const parsed = peftConfigSchema.safeParse(config);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(issue => `${PEFT_CONFIG}: ${issue.path.join('.')}: ${issue.message}`);
    throw new AdapterError(dir, problems, `${LABELS} adapters of PEFT are read; save this one again with a current version.`);
  }
  const problems: string[] = UNSUPPORTED_SWITCHES.filter(key => isOn(config[key])).map(key => `${PEFT_CONFIG} sets ${key}`);
  const { peft_type: type } = parsed.data;
  if (!PEFT_TYPES.includes(type)) problems.push(`is of the type ${type}`);
  if (typeof config.bias === 'string' && config.bias !== 'none') problems.push(`${PEFT_CONFIG} sets bias to ${config.bias}`);
  if (changesBase(config.init_lora_weights))
    problems.push(
      `${PEFT_CONFIG} sets init_lora_weights to ${config.init_lora_weights}, with which PEFT changes the base's weights too: save it as plain LoRA (save_pretrained with path_initial_model_for_weight_conversion)`,
    );
  const source = await openPeftWeights(dir);
  try {
    const { names, stacks, parameters } = namesOf(source, parsed.data.target_parameters ?? [], problems);
    const tensors = new Map([...names].map(([name, inFile]) => [name, { name, shape: source.tensors.get(inFile)?.shape ?? [] }]));
    const reader = readerOf(parsed.data);
    const description = describe({ config: parsed.data, shapes: shapesOf(tensors), stacks }, reader, problems);
    const adapter: Adapter = {
      dir,
      description: { ...description, createdBy: `peft ${typeof config.peft_version === 'string' ? config.peft_version : ''}`.trim() },
      tensors,
      readFloat32: name => readNumbers(source, names.get(name) ?? name),
      peftParameters: parameters,
      close: () => source.close(),
    };
    if (problems.length > 0) throw new AdapterError(dir, problems, REMEDY);
    const converted = await reader?.form.converted?.(adapter, problems);
    if (problems.length > 0) throw new AdapterError(dir, problems, NO_FORM);
    return converted === undefined || converted.size === 0 ? adapter : withConverted(adapter, converted);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Reads a tensor as float32. An int32 tensor holds positions of elements below 2²⁴, which float32 represents exactly. */
async function readNumbers(source: WeightFiles, name: string): Promise<Float32Array> {
  if (source.tensors.get(name)?.dtype !== 'I32') return source.readFloat32(name);
  // Copy, because the bytes may be misaligned in a larger buffer.
  return Float32Array.from(new Int32Array(Uint8Array.from(await source.readRaw(name)).buffer));
}

const isOn = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== false && !(Array.isArray(value) && value.length === 0);

/** Our names → PEFT's. Without the base's own weights, which PEFT adds if an embedding or head is a target. */
function namesOf({ tensors }: WeightFiles, targets: readonly string[], problems: string[]): ParameterNames {
  const names = [...tensors.keys()].filter(name => !/\.base_layer\.(weight|bias)$/.test(name));
  const prefixOf = (name: string): string => (name.startsWith(PEFT_PREFIX) ? PEFT_PREFIX : PEFT_SHARED_PREFIX);
  const plain = new Map(
    names.map(name => [nameInFile(name.startsWith(PEFT_SHARED_PREFIX) ? name.slice(prefixOf(name).length) : name), name]),
  );
  return parameterNames(plain, targets.map(nameInFile), problems);
}

/** The reader for an adapter. An adapter of an unknown type, which is reported separately, is read by the first reader that fits. */
function readerOf(config: PeftConfig): Reader | undefined {
  const fitting = readers.filter(({ form }) => form.reads(config));
  return fitting.find(({ type }) => type === config.peft_type) ?? fitting[0];
}

const shapesOf = (tensors: Adapter['tensors']): Map<string, readonly number[]> =>
  new Map([...tensors].map(([name, { shape }]) => [name, shape]));

function describe(file: PeftFile, reader: Reader | undefined, problems: string[]): Omit<AdapterDescription, 'createdBy'> {
  const { config, shapes } = file;
  if (!reader) throw new Error(`no method reads an adapter of the type ${config.peft_type}`);
  const { modules, lora = new Map(), vera, changes, shared = [] } = reader.form.partsOf(file, problems);
  const whole = new Set(
    [...shapes.keys()].filter(name => ['weight', 'bias'].some(end => name === `${moduleOf(name)}.${end}`)).map(moduleOf),
  );
  const known = new Set([...modules, ...whole]);
  for (const name of shapes.keys())
    if (!known.has(moduleOf(name)) && !shared.includes(name)) problems.push(`${name} is nothing that is read`);
  return {
    method: reader.method,
    base: { source: config.base_model_name_or_path ?? '', revision: config.revision ?? '' },
    modules: [...known],
    rows: new Map(),
    columns: new Map(),
    elements: new Map(),
    lora,
    vera,
    changes,
    whole: [...whole],
  };
}

/** The adapter with some of its tensors in the form of the method. */
const withConverted = (adapter: Adapter, converted: ReadonlyMap<string, PeftTensor>): Adapter => ({
  ...adapter,
  tensors: new Map([...adapter.tensors].map(([name, tensor]) => [name, converted.get(name) ?? tensor])),
  readFloat32: name => converted.get(name)?.values() ?? adapter.readFloat32(name),
});
