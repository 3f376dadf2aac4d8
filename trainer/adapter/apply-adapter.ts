/** Brings an adapter and its base together: weights with what was trained in them, or factors beside them. Nothing is trained any more. */
import type { HostArray } from '../graph/types.ts';
import type { Attachment } from '../method/method.ts';
import { methods } from '../method/methods.ts';
import type { Model } from '../model/model-spec.ts';
import type { LinearHook } from '../model/tracer.ts';
import { type WeightSource, withInitial } from '../model/weight-stream.ts';
import { type Adapter, moduleOf } from './adapter.ts';
import { checkAdapter } from './check-adapter.ts';

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

/** @throws AdapterError that names everything in which adapter and base disagree */
export async function applyAdapter({ model, weights, fingerprint, adapter }: ApplyAdapterParams): Promise<AdaptedModel> {
  checkAdapter(adapter, model, fingerprint);
  if (adapter.description.method !== 'lora')
    return { weights: overlay(withInitial(model, weights), adapter), attachment: untouched, start: new Map() };
  const start = new Map<string, Float32Array>();
  for (const name of adapter.tensors.keys()) start.set(name, await adapter.readFloat32(name));
  return { weights, attachment: loraAttachment(model, adapter), start };
}

/** Weights of the base with what spsft or full trained in their place; of lora, the base's. Read tensor by tensor. */
export function overlay(weights: WeightSource, adapter: Adapter): WeightSource {
  const { rows } = adapter.description;
  return {
    tensors: weights.tensors,
    readFloat32: async name => {
      if (!adapter.tensors.has(name)) return weights.readFloat32(name);
      const trained = await adapter.readFloat32(name);
      const indices = rows.get(moduleOf(name));
      return indices ? withRows(await weights.readFloat32(name), indices, trained) : trained;
    },
  };
}

/** Puts `values` [r, …] over the rows `indices` of `whole`, in place. */
function withRows(whole: Float32Array, indices: Int32Array, values: Float32Array): Float32Array {
  const width = values.length / indices.length;
  indices.forEach((row, i) => {
    whole.set(values.subarray(i * width, (i + 1) * width), row * width);
  });
  return whole;
}

/** One attachment for each pair of rank and alpha (PEFT's adapters may have several), their hooks one after the other. */
function loraAttachment(model: Model, { description }: Adapter): Attachment {
  const groups = new Map<string, { r: number; alpha: number; modules: string[] }>();
  for (const [module, { r, alpha }] of description.lora) {
    const key = `${r} ${alpha}`;
    const group = groups.get(key) ?? { r, alpha, modules: [] };
    groups.set(key, group);
    group.modules.push(module);
  }
  const attachments = [...groups.values()].map(({ r, alpha, modules }) =>
    methods.lora.attach(model, { targetModules: modules, freeze: [], budget: { r }, loraAlpha: alpha, loraDropout: 0, seed: 0 }, new Map()),
  );
  const linearHook: LinearHook = (tracer, module, x, y) =>
    attachments.reduce((output, { linearHook: hook }) => hook?.(tracer, module, x, output) ?? output, y);
  return { method: 'lora', trainables: [], linearHook, initial: () => attachments.flatMap(({ initial }) => [...initial()]) };
}
