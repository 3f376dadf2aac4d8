/**
 * The `peft` export: what was tuned as an adapter that PEFT loads. Rows of a linear layer are LoRA exactly: B selects them, A is their
 * change; so are rows of an embedding, of an untied head and of a convolution. Norms and modules trained whole go as modules_to_save.
 */

import { join } from 'node:path';
import { methodCatalog } from '../../catalog/methods.ts';
import { writeTextFile } from '../../files/durable-file.ts';
import { type TensorEntry, writeSafetensors } from '../../format/safetensors/safetensors-writer.ts';
import { groupsOf } from '../../method/lora/attach.ts';
import type { AdapterRank } from '../../method/trained-parts.ts';
import { projectionValues, veraProjectionsOf } from '../../method/vera/attach.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import { isExperts, type ModuleSpec, type ParameterSpec } from '../../model/module-specs.ts';
import { withInitial } from '../../model/weight-stream.ts';
import { ADAPTER_WEIGHTS } from '../adapter/adapter.ts';
import { mostUsed } from '../adapter/grouped-factors.ts';
import { mergedWeights } from '../adapter/merge.ts';
import { nameInMemory } from '../adapter/peft-names.ts';
import { PEFT_CONFIG, PEFT_PREFIX, PEFT_SHARED_PREFIX } from '../adapter/read-peft.ts';
import { ExportError } from '../export-error.ts';
import { entryOf, type Factors, factorEntries, type PeftParams, usedFactors } from './peft-factors.ts';

/** The size of the safetensors file. @throws ExportError as `writePeft` */
export const peftBytes = (params: PeftParams): number =>
  planOf(params).entries.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 4), 0);

/** @throws ExportError that names what PEFT cannot express */
export async function writePeft(dir: string, params: PeftParams): Promise<void> {
  const { entries, config } = planOf(params);
  const named = entries.map(entry => ({ ...entry, name: nameInMemory(entry.name) }));
  await writeSafetensors(join(dir, ADAPTER_WEIGHTS), named, { format: 'pt' });
  await writeTextFile(join(dir, PEFT_CONFIG), `${JSON.stringify(withNamesInMemory(config), null, 2)}\n`);
}

/** Lists of modules, and numbers by module. */
const withNamesInMemory = (config: Plan['config']): Plan['config'] => ({
  ...config,
  ...Object.fromEntries(
    ['target_modules', 'modules_to_save'].map(key => [key, Array.isArray(config[key]) ? config[key].map(nameInMemory) : config[key]]),
  ),
  ...Object.fromEntries(
    ['rank_pattern', 'alpha_pattern']
      .filter(key => key in config)
      .map(key => [key, Object.fromEntries(Object.entries(config[key] as object).map(([name, value]) => [nameInMemory(name), value]))]),
  ),
});

interface Plan {
  readonly entries: readonly TensorEntry[];
  readonly config: Readonly<Record<string, unknown>>;
}

function planOf(params: PeftParams): Plan {
  const { method, modules } = params.adapter.description;
  checkExpressible(params);
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
  return methodCatalog[method].lowRank === 'vectors'
    ? veraPlan(params, factored, entries, savedNames)
    : loraPlan(params, factored, entries, savedNames);
}

/** Modules whose tuned weights are written as they are: trained whole, or norms. */
const goesWhole = ({ adapter: { description } }: PeftParams, { name, kind }: ModuleSpec): boolean =>
  description.whole.includes(name) || (kind === 'norm' && description.rows.has(name));

function checkExpressible({ model, adapter: { description, tensors } }: PeftParams): void {
  const { method, rows, whole, elements, lora } = description;
  const { noPeft, hasMagnitudes } = methodCatalog[method];
  if (noPeft !== undefined) throw new ExportError(`PEFT has no adapter for '${method}', which ${noPeft}. Export it as merged`);
  const statistics = model.parameters.filter(({ name, buffer }) => buffer && tensors.has(name));
  if (statistics.length > 0)
    throw new ExportError(
      `batch_norm: updated changed ${statistics.length} running statistics (${statistics[0]?.name} …), which no adapter of PEFT here carries: export as merged or as adapter`,
    );
  const tied = model.kind === 'causal' && model.head.kind === 'embedding' ? model.head.name : undefined;
  // PEFT takes layers of these names in a mixture of experts for the experts of every block.
  const ofExperts = new Set(
    model.modules.filter(module => isExperts(module) || module.part === 'router').map(({ name }) => lastName(name)),
  );
  const wrong = model.modules.flatMap(module => {
    const { name, kind } = module;
    const isTuned = rows.has(name) || lora.has(name);
    if (isExperts(module) && isTuned) return [`${name} (experts)`];
    if (isTuned && ofExperts.has(lastName(name))) return [`${name} (named like experts of other blocks)`];
    if (elements.has(name)) return [`${name} (single elements: the columns of dependencies)`];
    if (name === tied && (rows.has(name) || whole.includes(name)))
      return [`${name} (tied to the output head, which PEFT would leave as it is)`];
    if (hasMagnitudes && groupsOf(module) > 1 && lora.has(name)) return [`${name} (${method} of a grouped convolution)`];
    // PEFT saves modules, and this is a tensor of a larger one.
    const isBare = kind === 'parameter' || module.weight.name === name;
    return isBare && (rows.has(name) || whole.includes(name)) ? [`${name} (a parameter)`] : [];
  });
  if (wrong.length === 0) return;
  const shown = wrong.slice(0, 8).join(', ');
  throw new ExportError(
    `PEFT cannot express what was trained in ${shown}${wrong.length > 8 ? ` and ${wrong.length - 8} more` : ''}: export as merged or as adapter`,
  );
}

const lastName = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

function savedEntries({ model, weights, adapter }: PeftParams, { weight, bias }: ModuleSpec): TensorEntry[] {
  const merged = mergedWeights(withInitial(model, weights), adapter);
  return (bias ? [weight, bias] : [weight]).map(({ name, shape }: ParameterSpec) =>
    entryOf(
      PEFT_PREFIX + name,
      weights.tensors.get(name)?.shape.length === shape.length ? shape : (weights.tensors.get(name)?.shape ?? shape),
      () => merged.readFloat32(name),
    ),
  );
}

function veraPlan(params: PeftParams, factored: readonly ModuleSpec[], saved: TensorEntry[], savedNames: string[]): Plan {
  const { adapter } = params;
  const { vera } = adapter.description;
  if (!vera) throw new Error('an adapter of vera tells the size of its matrices');
  const projections = veraProjectionsOf(vera);
  const [a, b] = [...projectionValues(projections, vera.projectionKey)].map(({ data }) => data as Float32Array);
  const own = (name: string, fallback: Float32Array | undefined) => async () =>
    adapter.tensors.has(name) ? adapter.readFloat32(name) : (fallback as Float32Array);
  const vectors = factored.flatMap(({ name }) =>
    [`${name}.vera_lambda_b`, `${name}.vera_lambda_d`].map(tensor =>
      entryOf(PEFT_PREFIX + tensor, adapter.tensors.get(tensor)?.shape ?? [], () => adapter.readFloat32(tensor)),
    ),
  );
  const shared = [
    entryOf(`${PEFT_SHARED_PREFIX}vera_A`, projections.a.shape, own('vera_A', a)),
    entryOf(`${PEFT_SHARED_PREFIX}vera_B`, projections.b.shape, own('vera_B', b)),
  ];
  const config = {
    ...commonConfig(params, savedNames),
    peft_type: 'VERA',
    r: vera.r,
    projection_prng_key: vera.projectionKey,
    save_projection: true,
    target_modules: targetsOf(
      params,
      factored.map(({ name }) => name),
    ),
    vera_dropout: 0,
    d_initial: 0.1,
    init_weights: true,
  };
  return { entries: [...vectors, ...shared, ...saved], config };
}

function loraPlan(params: PeftParams, factored: readonly ModuleSpec[], saved: TensorEntry[], savedNames: string[]): Plan {
  const { adapter } = params;
  const { description, tensors } = adapter;
  const parts = factored.map((module): Factors => {
    const [rows, trained] = [description.rows.get(module.name), description.lora.get(module.name)];
    const used = usedFactors(module, trained?.r ?? 0, rows);
    const r = used.length * mostUsed(used);
    // With rows the scale is 1: alpha is r.
    const scale = rows || !trained ? 1 : trained.alpha / trained.r;
    return { module, rank: { r, alpha: scale * r }, rows, trained, used };
  });
  const hasBias = parts.some(({ module, rows, trained }) => trained?.hasBias || (rows && module.bias && tensors.has(module.bias.name)));
  const entries = parts.flatMap(part => factorEntries(params, part, hasBias));
  return {
    entries: [...entries, ...saved],
    config: loraConfig(params, new Map(parts.map(({ module, rank }) => [module.name, rank])), savedNames, hasBias),
  };
}

function commonConfig(
  {
    model,
    adapter: {
      description: { base },
    },
  }: PeftParams,
  saved: readonly string[],
): Record<string, unknown> {
  return {
    task_type: taskType(model, saved),
    base_model_name_or_path: base.source,
    revision: base.revision === '' ? null : base.revision,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    modules_to_save: saved.length > 0 ? saved : null,
  };
}

/**
 * To SEQ_CLS belongs that PEFT takes a whole module called `classifier` or `score` for saved. RoBERTa's has a layer below it that was not
 * trained, and a frozen head is not saved at all: those go without a type.
 */
function taskType(model: AnyModel, saved: readonly string[]): string | null {
  if (model.kind === 'causal') return 'CAUSAL_LM';
  return model.input.kind === 'tokens' && saved.some(name => PEFT_HEADS.includes(name)) ? 'SEQ_CLS' : null;
}

const PEFT_HEADS: readonly string[] = ['classifier', 'score'];

/** PEFT takes a module whose name ends with a target for a target as well: where there is such a one, the targets are one pattern. */
const targetsOf = (params: PeftParams, names: readonly string[]): readonly string[] | string =>
  names.some(name => endsAnother(params, name)) ? `^(${names.map(name => name.replaceAll('.', '\\.')).join('|')})$` : names;

const endsAnother = ({ model }: PeftParams, name: string): boolean => model.modules.some(other => other.name.endsWith(`.${name}`));

function loraConfig(
  params: PeftParams,
  ranks: ReadonlyMap<string, AdapterRank>,
  saved: readonly string[],
  hasBias: boolean,
): Record<string, unknown> {
  const [first = { r: 1, alpha: 1 }] = ranks.values();
  const differing = (pick: (rank: AdapterRank) => number) =>
    Object.fromEntries(
      [...ranks]
        .filter(([, rank]) => pick(rank) !== pick(first))
        .map(([name, rank]) => [endsAnother(params, name) ? `^${name}` : name, pick(rank)]),
    );
  return {
    ...commonConfig(params, saved),
    peft_type: 'LORA',
    r: first.r,
    lora_alpha: first.alpha,
    rank_pattern: differing(({ r }) => r),
    alpha_pattern: differing(({ alpha }) => alpha),
    target_modules: targetsOf(params, [...ranks.keys()]),
    lora_dropout: 0,
    lora_bias: hasBias,
    init_lora_weights: true,
    use_dora: methodCatalog[params.adapter.description.method].hasMagnitudes,
    use_rslora: false,
  };
}
