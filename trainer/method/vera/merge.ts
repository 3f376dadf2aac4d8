/** Two vectors per weight around frozen matrices that all weights share: checked, merged, or used unmerged. */

import type { WeightSource } from '../../model/weight-source.ts';
import { atLeast } from '../../narrow.ts';
import { addProduct } from '../lora/add-product.ts';
import { isUngrouped, UNTRAINED } from '../lora/merge.ts';
import type { AddedTensors } from '../method.ts';
import { targetExactly } from '../targets.ts';
import type { TrainedParts, VeraShape } from '../trained-parts.ts';
import { attachVera, projectionValues, veraProjectionsOf } from './attach.ts';

export const addedVectors: AddedTensors = {
  tensorEnds: ['vera_lambda_b', 'vera_lambda_d'],
  expected: ({ vera }, { name, kind, weight }, problems) => {
    if (!vera) return [];
    const [out = 0, width = 0] = weight.shape;
    if (kind !== 'linear') problems.push(`${name} is not a linear layer`);
    if (out > vera.output || (vera.input > 0 && width > vera.input))
      problems.push(`${name} [${out},${width}] is larger than the shared matrices, which are for up to [${vera.output},${vera.input}]`);
    return [
      { name: `${name}.vera_lambda_d`, shape: [vera.r] },
      { name: `${name}.vera_lambda_b`, shape: [out] },
    ];
  },
  merger: (adapter, weights) => {
    const shared = sharedMatrices(adapter, weights);
    return (module, isBias) =>
      !isBias && adapter.tensors.has(`${module}.vera_lambda_b`)
        ? async weight => addVectors(weight, adapter, module, await shared())
        : undefined;
  },
  unmerged: {
    modulesOf: (model, { description: { vera }, tensors }) => {
      // The shared matrices have the size of the largest target. If it is not among these modules, all are merged instead.
      const tuned = model.modules.filter(module => isUngrouped(module) && tensors.has(`${module.name}.vera_lambda_b`));
      const most = (axis: number): number => Math.max(0, ...tuned.map(({ weight }) => weight.shape[axis] as number));
      const isWhole = vera !== undefined && [0, most(1)].includes(vera.input) && most(0) === vera.output;
      return new Set(isWhole ? tuned.map(({ name }) => name) : []);
    },
    attach: (model, { description: { vera } }, modules) => {
      const { projectionKey, r } = shapeOf(vera);
      const settings = { ...UNTRAINED, targetModules: [...modules].map(targetExactly), rank: r, vera: { projectionKey, dInitial: 0 } };
      return attachVera(model, settings, new Map());
    },
    frozen: async (adapter, { vera }) => {
      const { a, b } = await veraMatrices(adapter, shapeOf(vera));
      return new Map([
        ['vera_A', a],
        ['vera_B', b],
      ]);
    },
  },
};

/** Returns the sizes of the matrices. Throws for an adapter that does not state them. */
export function shapeOf(vera: VeraShape | undefined): VeraShape {
  if (!vera) throw new Error('the adapter does not state the sizes of the matrices of VeRA');
  return vera;
}

interface SharedMatrices {
  readonly a: Float32Array;
  readonly b: Float32Array;
  /** Number of columns of a. */
  readonly input: number;
  readonly r: number;
}

/** Returns a function for the frozen matrices: read from the adapter if it stores them, otherwise generated once from their key. */
function sharedMatrices(adapter: TrainedParts, { tensors }: Pick<WeightSource, 'tensors'>): () => Promise<SharedMatrices> {
  let made: SharedMatrices | undefined;
  return async () => {
    const vera = shapeOf(adapter.description.vera);
    const widest = adapter.description.modules.map(module => tensors.get(`${module}.weight`)?.shape[1] ?? 0);
    const shape = { ...vera, input: vera.input || Math.max(0, ...widest) };
    made ??= { ...(await veraMatrices(adapter, shape)), input: shape.input, r: shape.r };
    return made;
  };
}

/** vera_A [r, widest input] and vera_B [widest output, r] of an adapter. */
export async function veraMatrices(adapter: TrainedParts, shape: VeraShape): Promise<{ a: Float32Array; b: Float32Array }> {
  if (adapter.tensors.has('vera_A')) return { a: await adapter.readFloat32('vera_A'), b: await adapter.readFloat32('vera_B') };
  const [a, b] = atLeast([...projectionValues(veraProjectionsOf(shape), shape.projectionKey)], 2);
  return { a: a.data, b: b.data };
}

/** W + (b ∘ B)·(d ∘ A), with the top left parts of A and B that fit the weight. */
async function addVectors(
  weight: Float32Array,
  adapter: TrainedParts,
  module: string,
  { a, b, input, r }: SharedMatrices,
): Promise<Float32Array> {
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
