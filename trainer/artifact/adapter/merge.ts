/** The weights of a tuned model as one set of tensors: what an adapter trained, put into the base. Read one tensor at a time. */
import { projectionValues, veraProjectionsOf } from '../../method/vera.ts';
import type { WeightSource } from '../../model/weight-stream.ts';
import { type Adapter, type AdapterRank, moduleOf } from './adapter.ts';

/** Does merging change this tensor of the base? */
export function isTuned({ tensors, description }: Adapter, tensor: string): boolean {
  if (tensors.has(tensor)) return true;
  const module = moduleOf(tensor);
  const rank = description.lora.get(module);
  if (tensor.endsWith('.bias')) return rank?.hasBias === true;
  return rank !== undefined || tensors.has(`${module}.vera_lambda_b`);
}

/**
 * Weights of the base, merged; nothing is kept between two reads but the matrices that vera shares.
 * @param merges false for a module whose factors stay beside its weight; what was trained in place is always merged
 */
export function mergedWeights(weights: WeightSource, adapter: Adapter, merges: (module: string) => boolean = () => true): WeightSource {
  const shared = sharedMatrices(adapter, weights);
  return {
    tensors: weights.tensors,
    readFloat32: async name => {
      const module = moduleOf(name);
      const value = await inPlace(weights, adapter, name);
      if (!isTuned(adapter, name) || !merges(module)) return value;
      const rank = adapter.description.lora.get(module);
      if (name.endsWith('.bias')) return rank?.hasBias ? addBias(value, await adapter.readFloat32(`${module}.lora_B.bias`), rank) : value;
      if (rank) return addFactors(value, adapter, module, rank);
      return adapter.tensors.has(`${module}.vera_lambda_b`) ? addVera(value, adapter, module, await shared()) : value;
    },
  };
}

/** A tensor of the base with what was trained in its place: all of it, rows, or elements. */
async function inPlace(weights: WeightSource, adapter: Adapter, name: string): Promise<Float32Array> {
  if (!adapter.tensors.has(name)) return weights.readFloat32(name);
  const trained = await adapter.readFloat32(name);
  const { rows, elements } = adapter.description;
  const module = moduleOf(name);
  // A bias goes by rows even where its weight goes by elements.
  const places = (name.endsWith('.bias') ? undefined : elements.get(module)) ?? rows.get(module);
  return places ? withRows(await weights.readFloat32(name), places, trained) : trained;
}

/** Puts `values` [r, …] over the rows `indices` of `whole`, in place; with one number a row these are elements. */
function withRows(whole: Float32Array, indices: Int32Array, values: Float32Array): Float32Array {
  const width = values.length / indices.length;
  indices.forEach((row, i) => {
    whole.set(values.subarray(i * width, (i + 1) * width), row * width);
  });
  return whole;
}

async function addFactors(weight: Float32Array, adapter: Adapter, module: string, rank: AdapterRank): Promise<Float32Array> {
  if (adapter.tensors.has(`${module}.lora_embedding_A`)) {
    const [a, b] = [await adapter.readFloat32(`${module}.lora_embedding_A`), await adapter.readFloat32(`${module}.lora_embedding_B`)];
    // A row of an embedding is a token: W + s·(B·A)ᵀ = W + s·Aᵀ·Bᵀ.
    return addProduct(weight, transpose(b, rank.r), transpose(a, a.length / rank.r), rank);
  }
  const [a, b] = [await adapter.readFloat32(`${module}.lora_A.weight`), await adapter.readFloat32(`${module}.lora_B.weight`)];
  const magnitude = `${module}.lora_magnitude_vector`;
  const merged = addProduct(weight, a, b, rank);
  return adapter.tensors.has(magnitude) ? withLengths(merged, await adapter.readFloat32(magnitude)) : merged;
}

/** [rows, width] → [width, rows]. */
export const transpose = (x: Float32Array, width: number): Float32Array => {
  const rows = x.length / width;
  return Float32Array.from(x, (_, i) => x[(i % rows) * width + Math.floor(i / rows)] as number);
};

/**
 * W + (alpha / r)·B·A in place, each row summed in float64 and rounded once.
 * @param weight [out, in] @param a [r, in] @param b [out, r]
 */
export function addProduct(weight: Float32Array, a: Float32Array, b: Float32Array, { r, alpha }: AdapterRank): Float32Array {
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

function addBias(bias: Float32Array, added: Float32Array, { r, alpha }: AdapterRank): Float32Array {
  return bias.map((value, i) => value + (alpha / r) * (added[i] as number));
}

/** Each row brought to its length (dora), in place. */
function withLengths(weight: Float32Array, lengths: Float32Array): Float32Array {
  const width = weight.length / lengths.length;
  lengths.forEach((length, i) => {
    const row = weight.subarray(i * width, (i + 1) * width);
    let squares = 0;
    for (const value of row) squares += value * value;
    const factor = squares > 0 ? length / Math.sqrt(squares) : 0;
    for (let j = 0; j < width; j++) (row[j] as number) *= factor;
  });
  return weight;
}

interface SharedMatrices {
  readonly a: Float32Array;
  readonly b: Float32Array;
  /** Columns of a. */
  readonly input: number;
  readonly r: number;
}

/** Gives the frozen matrices of vera: from the adapter where it holds them, else made from their key, once. */
function sharedMatrices(adapter: Adapter, { tensors }: WeightSource): () => Promise<SharedMatrices> {
  let made: SharedMatrices | undefined;
  return async () => {
    const { vera } = adapter.description;
    if (!vera) throw new Error('the adapter does not tell the matrices of vera');
    const widest = adapter.description.modules.map(module => tensors.get(`${module}.weight`)?.shape[1] ?? 0);
    const shape = { ...vera, input: vera.input || Math.max(0, ...widest) };
    made ??= { ...(await veraMatrices(adapter, shape)), input: shape.input, r: shape.r };
    return made;
  };
}

/** vera_A [r, widest input] and vera_B [widest output, r] of an adapter. */
export async function veraMatrices(
  adapter: Adapter,
  shape: NonNullable<Adapter['description']['vera']>,
): Promise<{ a: Float32Array; b: Float32Array }> {
  if (adapter.tensors.has('vera_A')) return { a: await adapter.readFloat32('vera_A'), b: await adapter.readFloat32('vera_B') };
  const [a, b] = [...projectionValues(veraProjectionsOf(shape), shape.projectionKey)].map(({ data }) => data as Float32Array);
  return { a: a as Float32Array, b: b as Float32Array };
}

/** W + (b ∘ B)·(d ∘ A), with the corners of A and B that fit the weight. */
async function addVera(weight: Float32Array, adapter: Adapter, module: string, { a, b, input, r }: SharedMatrices): Promise<Float32Array> {
  const [d, scales] = [await adapter.readFloat32(`${module}.vera_lambda_d`), await adapter.readFloat32(`${module}.vera_lambda_b`)];
  const out = scales.length;
  const width = weight.length / out;
  const left = new Float32Array(out * r);
  for (let i = 0; i < out; i++)
    for (let k = 0; k < r; k++) left[i * r + k] = (scales[i] as number) * (b[i * r + k] as number) * (d[k] as number);
  const right = new Float32Array(r * width);
  for (let k = 0; k < r; k++) right.set(a.subarray(k * input, k * input + width), k * width);
  return addProduct(weight, right, left, { r, alpha: r });
}
