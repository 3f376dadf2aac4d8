/** Combines an adapter and its base: weights with the trained numbers in them, or factors next to them. Nothing is trained any more. */
import type { HostArray } from '../graph/types.ts';
import type { Attachment } from '../method/method.ts';
import { methods } from '../method/methods.ts';
import { hostedUntrained } from '../model/hosted-weights.ts';
import type { Model } from '../model/model-spec.ts';
import type { WeightSource } from '../model/weight-source.ts';
import { FLOAT32_STORAGE } from '../model/weight-storage.ts';
import { withInitial } from '../model/weight-stream.ts';
import { type Adapter, AdapterError } from './adapter.ts';
import { checkAdapter } from './check-adapter.ts';
import { fitAdapter } from './fit-adapter.ts';
import { mergedWeights } from './merge.ts';

export interface AdaptedModel {
  /** The base's weights; rows and whole tensors that were trained stand in their place. */
  readonly weights: WeightSource;
  /** The factors that the forward pass needs in addition to the weights (lora). */
  readonly attachment: Attachment;
  /** Values of the variables that the attachment adds. */
  readonly start: ReadonlyMap<string, HostArray>;
}

/** A base as it is. */
export const untouched: Attachment = { method: 'full', trainables: [], initial: () => [] };

export interface ApplyAdapterParams {
  readonly model: Model;
  readonly weights: WeightSource;
  /** The fingerprint of the base weights at hand. */
  readonly fingerprint: string;
  readonly adapter: Adapter;
}

/**
 * Factors of lora and vera stay next to the weights of the blocks, where they cost little; everything else is merged as it is read, and so
 * are those of grouped convolutions, which take a product for each group.
 * @throws AdapterError that names everything in which adapter and base disagree
 */
export async function applyAdapter({ model, weights, fingerprint, adapter: given }: ApplyAdapterParams): Promise<AdaptedModel> {
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
  // Nothing is trained: the trainables of the attachment are its variables, which `initial` names and `start` fills.
  const merged = mergedWeights(withInitial(model, weights), adapter, module => !modules.has(module));
  return { weights: merged, attachment: { ...attachment, trainables: [] }, start };
}

export interface AdaptedModelParams extends Pick<ApplyAdapterParams, 'model'> {
  readonly weights: WeightSource & { fingerprint(): Promise<string> };
  /** The base as it is without one. */
  readonly adapter: Adapter | undefined;
  /** Bytes of the smallest weight of a block, held in float32, that lies in the host's memory; none does if left out. */
  readonly hostFrom: number | undefined;
}

/** The base with an adapter, if there is one. @throws AdapterError that names everything in which adapter and base disagree */
export async function adaptedModel({ model, weights, adapter, hostFrom }: AdaptedModelParams): Promise<AdaptedModel> {
  const found = adapter
    ? await applyAdapter({ model, weights, fingerprint: await weights.fingerprint(), adapter })
    : { weights, attachment: untouched, start: new Map() };
  const hosted = hostedUntrained(model, FLOAT32_STORAGE, hostFrom);
  return { ...found, attachment: { ...found.attachment, ...(hosted && { hosted }) } };
}

/** A bias of factors has a place only where the module has a bias of its own; zeros need none. */
async function checkBiases({ dir, description, ...adapter }: Adapter, model: Model): Promise<void> {
  const homeless: string[] = [];
  for (const { name, bias } of model.modules)
    if (!bias && description.lora.get(name)?.hasBias && (await adapter.readFloat32(`${name}.lora_B.bias`)).some(value => value !== 0))
      homeless.push(`gives ${name} a bias, which this ${model.family} has no place for`);
  if (homeless.length > 0) throw new AdapterError(dir, homeless, 'Merge this adapter with PEFT instead.');
}
