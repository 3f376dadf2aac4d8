/** Merges an adapter into the weights of its base, one tensor at a time as they are read. */

import { methods } from '../method/methods.ts';
import type { WeightSource } from '../model/weight-source.ts';
import { type Adapter, moduleOf } from './adapter.ts';

/** True if merging changes this tensor of the base. */
export const isTuned = (adapter: Adapter, tensor: string): boolean =>
  adapter.tensors.has(tensor) || mergerOf(adapter, { tensors: new Map() })(moduleOf(tensor), isBias(tensor)) !== undefined;

const isBias = (tensor: string): boolean => tensor.endsWith('.bias');

const mergerOf = (adapter: Adapter, weights: Pick<WeightSource, 'tensors'>) =>
  methods[adapter.description.method].added?.merger(adapter, weights) ?? (() => undefined);

/**
 * The merged weights of the base. Only the matrices that VeRA shares are kept between two reads.
 * @param merges returns false for a module whose factors stay next to its weight; values trained in place are always merged
 */
export function mergedWeights(weights: WeightSource, adapter: Adapter, merges: (module: string) => boolean = () => true): WeightSource {
  const merger = mergerOf(adapter, weights);
  return {
    tensors: weights.tensors,
    readFloat32: async name => {
      const module = moduleOf(name);
      const value = await inPlace(weights, adapter, name);
      const merge = merges(module) ? merger(module, isBias(name)) : undefined;
      return merge ? merge(value) : value;
    },
  };
}

/** A tensor of the base with the values that were trained in place: all of it, rows, columns, or elements. */
async function inPlace(weights: WeightSource, adapter: Adapter, name: string): Promise<Float32Array> {
  if (!adapter.tensors.has(name)) return weights.readFloat32(name);
  const trained = await adapter.readFloat32(name);
  const { rows, columns, elements } = adapter.description;
  const module = moduleOf(name);
  const ofWeight = name.endsWith('.bias') ? undefined : columns.get(module);
  if (ofWeight) return withColumns(await weights.readFloat32(name), ofWeight, trained);
  // A bias is indexed by rows even if its weight is indexed by elements.
  const places = (name.endsWith('.bias') ? undefined : elements.get(module)) ?? rows.get(module);
  return places ? withRows(await weights.readFloat32(name), places, trained) : trained;
}

/** Writes `values` [out, c] into the columns `indices` of `whole`, in place. */
function withColumns(whole: Float32Array, indices: Int32Array, values: Float32Array): Float32Array {
  const rows = values.length / indices.length;
  const width = whole.length / rows;
  for (let row = 0; row < rows; row++)
    indices.forEach((column, i) => {
      whole[row * width + column] = values[row * indices.length + i] as number;
    });
  return whole;
}

/** Writes `values` [r, …] into the rows `indices` of `whole`, in place; with one value per row, these are elements. */
function withRows(whole: Float32Array, indices: Int32Array, values: Float32Array): Float32Array {
  const width = values.length / indices.length;
  indices.forEach((row, i) => {
    whole.set(values.subarray(i * width, (i + 1) * width), row * width);
  });
  return whole;
}
