/** Combines an adapter and its base for inference: merges trained values into the weights, or keeps factors next to them. */
import type { HostArray } from '../graph/types.ts';
import type { Attachment } from '../method/method.ts';
import { methods } from '../method/methods.ts';
import { placeTuned, type TunedPart } from '../method/placement.ts';
import { hostedUntrained } from '../model/hosted-weights.ts';
import type { Model } from '../model/model-spec.ts';
import type { ModuleSpec } from '../model/module-specs.ts';
import type { WeightSource } from '../model/weight-source.ts';
import { FLOAT32, FLOAT32_STORAGE, type Precision } from '../model/weight-storage.ts';
import { withInitial } from '../model/weight-stream.ts';
import { type Adapter, AdapterError } from './adapter.ts';
import { checkAdapter } from './check-adapter.ts';
import { fitAdapter } from './fit-adapter.ts';
import { isTuned, mergedWeights } from './merge.ts';

export interface AdaptedModel {
  /** The base's weights, with trained rows and whole tensors in place of the original ones. */
  readonly weights: WeightSource;
  /** The factors that the forward pass needs in addition to the weights (LoRA). */
  readonly attachment: Attachment;
  /** Values of the variables that the attachment adds. */
  readonly start: ReadonlyMap<string, HostArray>;
}

/** The merged weights by name: their trained rows or columns, or an empty entry if they changed in other ways. */
type Tuned = ReadonlyMap<string, TunedPart>;

/** The attachment of a base without changes. */
export const untouched: Attachment = { method: 'full', trainables: [], initial: () => [] };

export interface ApplyAdapterParams {
  readonly model: Model;
  readonly weights: WeightSource;
  /** The fingerprint of the available base weights. */
  readonly fingerprint: string;
  readonly adapter: Adapter;
}

/**
 * Applies an adapter. Factors of LoRA and VeRA stay next to the weights of the blocks, where they cost little. Everything else is merged
 * when it is read, including factors of grouped convolutions, which would need a product for each group.
 * @throws AdapterError that lists every mismatch between adapter and base
 */
export async function applyAdapter({
  model,
  weights,
  fingerprint,
  adapter: given,
}: ApplyAdapterParams): Promise<AdaptedModel & { readonly tuned: Tuned }> {
  const adapter = await fitAdapter(given, model);
  checkAdapter(adapter, model, fingerprint);
  await checkBiases(adapter, model);
  const { added } = methods[adapter.description.method];
  const mistakes = (await added?.mistakes?.(adapter, model)) ?? [];
  if (mistakes.length > 0) throw new AdapterError(adapter.dir, mistakes, 'Its file is damaged, or it was made for another model.');
  const { unmerged } = added ?? {};
  const modules = unmerged?.modulesOf(model, adapter) ?? new Set<string>();
  const attachment = unmerged && modules.size > 0 ? unmerged.attach(model, adapter, modules) : untouched;
  const start = new Map<string, Float32Array>();
  const wanted = new Set(attachment.trainables.map(({ name }) => name));
  for (const name of adapter.tensors.keys()) if (wanted.has(name)) start.set(name, await adapter.readFloat32(name));
  if (modules.size > 0) for (const [name, value] of (await unmerged?.frozen?.(adapter, attachment)) ?? []) start.set(name, value);
  // Nothing is trained: the attachment's trainables are only its variables, which `initial` names and `start` fills.
  const merged = mergedWeights(withInitial(model, weights), adapter, module => !modules.has(module));
  return { weights: merged, attachment: { ...attachment, trainables: [] }, start, tuned: tunedIn(adapter, model, modules) };
}

/**
 * The merged weights.
 * @param unmerged modules whose factors stay next to their weights; these weights changed only where they were trained in place
 */
function tunedIn(adapter: Adapter, model: Model, unmerged: ReadonlySet<string>): Tuned {
  const { rows, columns } = adapter.description;
  const isChanged = ({ name, weight }: ModuleSpec): boolean =>
    unmerged.has(name) ? adapter.tensors.has(weight.name) : isTuned(adapter, weight.name);
  return new Map(
    model.modules.filter(isChanged).map(({ name, weight }): [string, TunedPart] => {
      const [unit, indices] = columns.has(name) ? (['columns', columns.get(name)] as const) : (['rows', rows.get(name)] as const);
      const variable = { name: `${name}.${unit}`, shape: [indices?.length ?? 0], dtype: 'int32' } as const;
      return [weight.name, indices === undefined ? {} : { [unit]: { variable, indices } }];
    }),
  );
}

export interface AdaptedModelParams extends Pick<ApplyAdapterParams, 'model'> {
  readonly weights: WeightSource & { fingerprint(): Promise<string> };
  /** The adapter; without one, the base is used unchanged. */
  readonly adapter: Adapter | undefined;
  /** Minimum size in bytes, as float32, of a block's weight that is kept in host memory; if left out, none is. */
  readonly hostFrom: number | undefined;
  /** How the base is stored, as in the run that tuned it; all float32 if left out. */
  readonly precision?: Precision | undefined;
}

/** The base with its adapter, if there is one. @throws AdapterError that lists every mismatch between adapter and base */
export async function adaptedModel(params: AdaptedModelParams): Promise<AdaptedModel> {
  const { model, weights, adapter, hostFrom, precision = FLOAT32 } = params;
  const found = adapter
    ? await applyAdapter({ model, weights, fingerprint: await weights.fingerprint(), adapter })
    : { weights, attachment: untouched, start: new Map(), tuned: new Map() };
  const attachment = placeTuned(found.attachment, model, precision, found.tuned);
  const hosted = hostedUntrained(model, attachment.storage ?? FLOAT32_STORAGE, hostFrom);
  return { weights: found.weights, start: found.start, attachment: { ...attachment, ...(hosted && { hosted }) } };
}

/** Checks that modules with trained biases of factors have a bias of their own; biases of zero need none. */
async function checkBiases({ dir, description, ...adapter }: Adapter, model: Model): Promise<void> {
  const homeless: string[] = [];
  for (const { name, bias } of model.modules)
    if (!bias && description.lora.get(name)?.hasBias && (await adapter.readFloat32(`${name}.lora_B.bias`)).some(value => value !== 0))
      homeless.push(`gives ${name} a bias, which this ${model.family} has no place for`);
  if (homeless.length > 0) throw new AdapterError(dir, homeless, 'Merge this adapter with PEFT instead.');
}
