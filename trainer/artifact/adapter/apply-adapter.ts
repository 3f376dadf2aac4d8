/** Brings an adapter and its base together: weights with what was trained in them, or factors beside them. Nothing is trained any more. */
import { methodCatalog } from '../../catalog/methods.ts';
import type { HostArray } from '../../graph/types.ts';
import { combine } from '../../method/combine.ts';
import { groupsOf } from '../../method/lora.ts';
import type { Attachment, LoraRank } from '../../method/method.ts';
import { attachments } from '../../method/methods.ts';
import { targetExactly } from '../../method/targets.ts';
import type { Model } from '../../model/model-spec.ts';
import { type WeightSource, withInitial } from '../../model/weight-stream.ts';
import { type Adapter, AdapterError } from './adapter.ts';
import { checkAdapter } from './check-adapter.ts';
import { mergedWeights, veraMatrices } from './merge.ts';

export interface AdaptedModel {
  /** The base's weights; rows and whole tensors that were trained stand in their place. */
  readonly weights: WeightSource;
  /** What the forward pass needs beside the weights (lora). */
  readonly attachment: Attachment;
  /** Values of the variables that the attachment adds. */
  readonly start: ReadonlyMap<string, HostArray>;
}

/** A base as it is. */
export const untouched: Attachment = { method: 'full', trainables: [], initial: () => [] };

export interface ApplyAdapterParams {
  readonly model: Model;
  readonly weights: WeightSource;
  /** Of the base weights at hand. */
  readonly fingerprint: string;
  readonly adapter: Adapter;
}

/**
 * Factors of lora and vera stay beside the weights of the blocks, where they cost little; everything else is merged as it is read, and so
 * are those of grouped convolutions, which take a product for each group.
 * @throws AdapterError that names everything in which adapter and base disagree
 */
export async function applyAdapter({ model, weights, fingerprint, adapter }: ApplyAdapterParams): Promise<AdaptedModel> {
  checkAdapter(adapter, model, fingerprint);
  await checkBiases(adapter, model);
  const beside = modulesBeside(model, adapter);
  const attachment = besideAttachment(model, adapter, beside);
  const start = new Map<string, Float32Array>();
  const wanted = new Set(attachment.trainables.map(({ name }) => name));
  for (const name of adapter.tensors.keys()) if (wanted.has(name)) start.set(name, await adapter.readFloat32(name));
  if (attachment.vera) {
    const { a, b } = await veraMatrices(adapter, attachment.vera);
    start.set('vera_A', a).set('vera_B', b);
  }
  // Nothing is trained: the trainables of the attachment are its variables, which `initial` names and `start` fills.
  const merged = mergedWeights(withInitial(model, weights), adapter, module => !beside.has(module));
  return { weights: merged, attachment: { ...attachment, trainables: [] }, start };
}

/** A bias of factors has a place only where the module has a bias of its own; zeros need none. */
async function checkBiases({ dir, description, ...adapter }: Adapter, model: Model): Promise<void> {
  const homeless: string[] = [];
  for (const { name, bias } of model.modules)
    if (!bias && description.lora.get(name)?.hasBias && (await adapter.readFloat32(`${name}.lora_B.bias`)).some(value => value !== 0))
      homeless.push(`gives ${name} a bias, which this ${model.family} has no place for`);
  if (homeless.length > 0) throw new AdapterError(dir, homeless, 'Merge this adapter with PEFT instead.');
}

/** The modules whose factors are not merged. */
function modulesBeside(model: Model, { description, tensors }: Adapter): ReadonlySet<string> {
  const { method, lora, vera } = description;
  if (methodCatalog[method].hasMagnitudes) return new Set();
  const modules = model.modules.filter(
    module => (module.kind === 'linear' || module.kind === 'conv') && module.part !== 'head' && groupsOf(module) === 1,
  );
  if (!vera) return new Set(modules.filter(({ name }) => lora.has(name) && !lora.get(name)?.hasBias).map(({ name }) => name));
  // The shared matrices are as large as the largest target: where a corner is all that is left, they are not made anew.
  const tuned = modules.filter(({ name }) => tensors.has(`${name}.vera_lambda_b`));
  const most = (axis: number): number => Math.max(0, ...tuned.map(({ weight }) => weight.shape[axis] as number));
  return [0, most(1)].includes(vera.input) && most(0) === vera.output ? new Set(tuned.map(({ name }) => name)) : new Set();
}

function besideAttachment(model: Model, { description }: Adapter, beside: ReadonlySet<string>): Attachment {
  const { lora, vera, method } = description;
  const settings = { freeze: [], budget: { r: 1 }, sparseRatio: 0, loraDropout: 0, seed: 0 };
  if (beside.size === 0) return untouched;
  if (vera) {
    const ofVera = { projectionKey: vera.projectionKey, dInitial: 0 };
    const attached = { ...settings, targetModules: [...beside].map(targetExactly), rank: vera.r, loraAlpha: 1, vera: ofVera };
    return attachments.vera(model, attached, new Map());
  }
  // One attachment for each pair of rank and alpha: PEFT's adapters may have several.
  const groups = new Map<string, LoraRank & { modules: string[] }>();
  for (const [module, { r, alpha }] of lora) {
    if (!beside.has(module)) continue;
    const key = `${r} ${alpha}`;
    const group = groups.get(key) ?? { r, alpha, modules: [] };
    groups.set(key, group);
    group.modules.push(module);
  }
  const parts = [...groups.values()].map(({ r, alpha, modules }) =>
    attachments.lora(
      model,
      { ...settings, targetModules: modules.map(targetExactly), rank: r, loraAlpha: alpha, vera: { projectionKey: 0, dInitial: 0 } },
      new Map(),
    ),
  );
  return combine(method, parts);
}
