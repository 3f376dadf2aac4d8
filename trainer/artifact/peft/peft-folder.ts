/**
 * The `peft` export: the tuned parameters as an adapter that PEFT can load. Trained rows of a linear layer are exactly LoRA: B selects
 * them, A is their change. For columns, A selects them and B is their change. Rows of an embedding, an untied head or a convolution work
 * like rows. Norms and modules that were trained whole are written as modules_to_save.
 */

import { join } from 'node:path';
import { ADAPTER_WEIGHTS, type Adapter } from '../../adapter/adapter.ts';
import { mergedWeights } from '../../adapter/merge.ts';
import { PEFT_CONFIG, PEFT_PREFIX, PEFT_SHARED_PREFIX } from '../../adapter/read-peft.ts';
import { methodCatalog } from '../../catalog/methods.ts';
import { writeTextFile } from '../../files/durable-file.ts';
import { encodeFloat32 } from '../../format/float-format.ts';
import type { ModelConfig } from '../../format/model-config.ts';
import { type TensorEntry, writeSafetensors } from '../../format/safetensors/safetensors-writer.ts';
import { methods } from '../../method/methods.ts';
import { isParameterTarget, type PeftForm, type PeftTensor } from '../../method/peft-form.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import { isBiasAlone, isExperts, isTransposed, type ModuleSpec, type ParameterSpec } from '../../model/module-specs.ts';
import { transposedTensor } from '../../model/stored-form.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import { withInitial } from '../../model/weight-stream.ts';
import { ExportError } from '../export-error.ts';
import { configInMemory, type NameInMemory, namesInMemory } from './names-in-memory.ts';

export interface PeftParams {
  readonly model: AnyModel;
  /** config.json of the base. */
  readonly config: ModelConfig;
  readonly weights: WeightSource;
  readonly adapter: Adapter;
}

/** The size of the safetensors file. @throws ExportError as `writePeft` */
export const peftBytes = (params: PeftParams): number =>
  planOf(params).entries.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 4), 0);

/** @throws ExportError that names what PEFT cannot express */
export async function writePeft(dir: string, params: PeftParams): Promise<void> {
  const { entries, config } = planOf(params);
  const inMemory = namesInMemory(params.model, params.config);
  const named = entries.map(entry => ({ ...entry, name: entryInMemory(entry.name, inMemory) }));
  await writeSafetensors(join(dir, ADAPTER_WEIGHTS), named, { format: 'pt' });
  const written = configInMemory(config, params.model, inMemory);
  await writeTextFile(join(dir, PEFT_CONFIG), `${JSON.stringify(written, null, 2)}\n`);
}

const entryInMemory = (name: string, inMemory: NameInMemory): string =>
  name.startsWith(PEFT_PREFIX) ? PEFT_PREFIX + inMemory(name.slice(PEFT_PREFIX.length)) : name;

interface Plan {
  readonly entries: readonly TensorEntry[];
  readonly config: Readonly<Record<string, unknown>>;
}

function planOf(params: PeftParams): Plan {
  const { method, modules } = params.adapter.description;
  const form = expressibleForm(params);
  const tuned = params.model.modules.filter(({ name }) => modules.includes(name));
  const whole = tuned.filter(module => goesWhole(params, module));
  // PEFT saves every module whose name ends with one of these: DistilBERT's pre_classifier with its classifier.
  const saved = params.model.modules.filter(({ name }) => whole.some(other => name.endsWith(other.name)));
  const factored = tuned.filter(module => !saved.includes(module));
  if (factored.length === 0)
    throw new ExportError(
      `method '${method}' trained modules whole and has no factors, without which PEFT has no adapter: export as merged or as adapter`,
    );
  const entries = saved.flatMap(module => savedEntries(params, module));
  const savedNames = saved.map(({ name }) => name);
  const {
    tensors,
    shared = [],
    config,
  } = form.toPeft({ ...params, weights: withInitial(params.model, params.weights), modules: factored });
  return {
    entries: [
      ...tensors.map(tensor => entryOf(PEFT_PREFIX, tensor)),
      ...shared.map(tensor => entryOf(PEFT_SHARED_PREFIX, tensor)),
      ...entries,
    ],
    config: { ...commonConfig(params, savedNames, factored), ...config },
  };
}

/** True for modules whose tuned weights are written unchanged: those trained whole, and norms. */
const goesWhole = ({ adapter: { description } }: PeftParams, { name, kind }: ModuleSpec): boolean =>
  description.whole.includes(name) || (kind === 'norm' && description.rows.has(name));

/** @throws ExportError that names what PEFT cannot express */
function expressibleForm({ model, adapter }: PeftParams): PeftForm {
  const { description, tensors } = adapter;
  const { method, rows, columns, whole, elements, lora } = description;
  const form = methods[method].peft;
  if (!form) {
    const { noPeft } = methodCatalog[method];
    throw new ExportError(`PEFT has no adapter for '${method}'${noPeft === undefined ? '' : `, which ${noPeft}`}. Export it as merged`);
  }
  const statistics = model.parameters.filter(({ name, buffer }) => buffer && tensors.has(name));
  if (statistics.length > 0)
    throw new ExportError(
      `batch_norm: updated changed ${statistics.length} running statistics (${statistics[0]?.name} …), which no adapter of PEFT here carries: export as merged or as adapter`,
    );
  const tied = model.kind === 'causal' && model.head.kind === 'embedding' ? model.head.name : undefined;
  const biased = model.modules.find(({ name, bias }) => bias && rows.has(name) && tensors.has(bias.name));
  const layers = model.kind === 'classifier' && model.pooling ? model.heads : [];
  const wrong = model.modules.flatMap(module => {
    const { name, kind } = module;
    if (layers.includes(module) && description.modules.includes(name))
      return [`${name} (a layer after the pooling, which PEFT does not adapt)`];
    const isTuned = rows.has(name) || columns.has(name) || lora.has(name) || elements.has(name);
    if (isTuned && isParameterTarget(model, module)) {
      if (!form.takesParameters) return [`${name} (a parameter of the model in memory, which PEFT tunes by LoRA alone)`];
      if (biased) return [`${name} (a parameter, next to which PEFT has no biases, and that of ${biased.name} was trained)`];
    }
    if (whole.includes(name) && (isExperts(module) || (module.part === 'router' && module.inMemory !== undefined)))
      return [`${name} (trained whole, and Transformers holds it in another form in memory)`];
    if (elements.has(name) && !form.takesElements) return [`${name} (single elements: the columns of dependencies)`];
    if (name === tied && (rows.has(name) || whole.includes(name)))
      return [`${name} (tied to the output head, which PEFT would leave as it is)`];
    const refused = isTuned ? form.refuses?.(adapter, module) : undefined;
    if (refused !== undefined) return [`${name} (${refused})`];
    if (isBiasAlone(module) && description.modules.includes(name)) return [`${name} (a bias, whose weight is the embedding)`];
    // PEFT saves modules, but this is one tensor of a larger module.
    const isBare = kind === 'parameter' || module.weight.name === name;
    return isBare && (rows.has(name) || whole.includes(name)) ? [`${name} (a parameter)`] : [];
  });
  if (wrong.length === 0) return form;
  const shown = wrong.slice(0, 8).join(', ');
  throw new ExportError(
    `PEFT cannot express what was trained in ${shown}${wrong.length > 8 ? ` and ${wrong.length - 8} more` : ''}: export as merged or as adapter`,
  );
}

const entryOf = (prefix: string, { name, shape, values, isIndex }: PeftTensor): TensorEntry => ({
  name: prefix + name,
  dtype: isIndex ? 'I32' : 'F32',
  shape,
  data: async () => (isIndex ? new Uint8Array(Int32Array.from(await values()).buffer) : encodeFloat32(await values(), 'F32')),
});

function savedEntries({ model, weights, adapter }: PeftParams, { weight, bias }: ModuleSpec): TensorEntry[] {
  const merged = mergedWeights(withInitial(model, weights), adapter);
  return (bias ? [weight, bias] : [weight]).map((spec: ParameterSpec) => {
    const { name, shape: own } = spec;
    const inMemory = transposedTensor(spec);
    if (inMemory) return entryOf(PEFT_PREFIX, { ...inMemory, values: () => inMemory.values(merged.readFloat32) });
    const inFile = weights.tensors.get(name)?.shape;
    const shape = inFile === undefined || inFile.length === own.length ? own : inFile;
    return entryOf(PEFT_PREFIX, { name, shape, values: () => merged.readFloat32(name) });
  });
}

function commonConfig(
  {
    model,
    adapter: {
      description: { base },
    },
  }: PeftParams,
  saved: readonly string[],
  tuned: readonly ModuleSpec[],
): Record<string, unknown> {
  return {
    task_type: taskType(model, saved),
    base_model_name_or_path: base.source,
    revision: base.revision === '' ? null : base.revision,
    bias: 'none',
    fan_in_fan_out: tuned.some(({ weight }) => isTransposed(weight)),
    inference_mode: true,
    modules_to_save: saved.length > 0 ? saved : null,
  };
}

/**
 * The task type. With SEQ_CLS and TOKEN_CLS, PEFT assumes that a module called `classifier` or `score` is saved as a whole. RoBERTa's
 * contains a layer that was not trained, and a frozen head is not saved at all: such adapters have no task type.
 */
function taskType(model: AnyModel, saved: readonly string[]): string | null {
  if (model.kind === 'causal') return 'CAUSAL_LM';
  if (model.input.kind !== 'tokens' || !saved.some(name => PEFT_HEADS.includes(name))) return null;
  return model.problem === 'token_label' ? 'TOKEN_CLS' : 'SEQ_CLS';
}

const PEFT_HEADS: readonly string[] = ['classifier', 'score'];
