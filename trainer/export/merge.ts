/** The weights of a tuned model as one set of tensors: what an adapter trained, put into the base. Read one tensor at a time. */
import type { Adapter, LoraRank } from '../adapter/adapter.ts';
import { overlay } from '../adapter/apply-adapter.ts';
import type { WeightSource } from '../model/weight-stream.ts';

/** Does merging change this tensor of the base? */
export const isTuned = (adapter: Adapter, tensor: string): boolean =>
  adapter.tensors.has(tensor) || adapter.description.lora.has(tensor.replace(/\.weight$/, ''));

/** Weights of the base, merged; nothing is kept between two reads. */
export function mergedWeights(weights: WeightSource, adapter: Adapter): WeightSource {
  if (adapter.description.method !== 'lora') return overlay(weights, adapter);
  return {
    tensors: weights.tensors,
    readFloat32: async name => {
      const weight = await weights.readFloat32(name);
      const module = name.replace(/\.weight$/, '');
      const rank = name.endsWith('.weight') ? adapter.description.lora.get(module) : undefined;
      if (!rank) return weight;
      const a = await adapter.readFloat32(`${module}.lora_A.weight`);
      const b = await adapter.readFloat32(`${module}.lora_B.weight`);
      return addProduct(weight, a, b, rank);
    },
  };
}

/**
 * W + (alpha / r)·B·A in place, each row summed in float64 and rounded once.
 * @param weight [out, in] @param a [r, in] @param b [out, r]
 */
export function addProduct(weight: Float32Array, a: Float32Array, b: Float32Array, { r, alpha }: LoraRank): Float32Array {
  const width = a.length / r;
  const row = new Float64Array(width);
  for (let i = 0; i < b.length / r; i++) {
    const begin = i * width;
    for (let j = 0; j < width; j++) row[j] = weight[begin + j] as number;
    for (let k = 0; k < r; k++) {
      const factor = (alpha / r) * (b[i * r + k] as number);
      if (factor !== 0) for (let j = 0; j < width; j++) (row[j] as number) += factor * (a[k * width + j] as number);
    }
    weight.set(row, begin);
  }
  return weight;
}
