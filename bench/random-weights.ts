/** Draws random weights for any of our models: the sizes of a known model without its file. */

import { elementCount } from '../trainer/graph/types.ts';
import type { AnyModel } from '../trainer/model/model-spec.ts';
import { isBatchNorm, type ParameterSpec } from '../trainer/model/module-specs.ts';
import type { WeightSource } from '../trainer/model/weight-source.ts';
import { valueFor } from '../trainer/narrow.ts';
import { createRandom, hashSeed } from '../trainer/random.ts';

export interface RandomWeightsParams {
  /** The seed; each tensor is drawn from the seed and its name. */
  readonly seed: number;
  /** Gain of convolutions: √2 keeps the variance through a ReLU (He et al. 2015); 1 keeps many residual blocks from exploding. */
  readonly gain: number;
}

/** Draws convolutions scaled by their inputs, other matrices with 0.05, and norms that change nothing. */
export function randomWeights(model: AnyModel, params: RandomWeightsParams): WeightSource {
  const tensors = new Map(model.parameters.map(parameter => [parameter.name, parameter]));
  const ones = onesOf(model);
  return { tensors, readFloat32: async name => startOf(valueFor(tensors, name), ones.has(name), params) };
}

/** Names of tensors that are 1: scales and running variances of norms. */
const onesOf = (model: AnyModel): Set<string> =>
  new Set(
    model.modules.flatMap(module =>
      module.kind === 'norm' ? [module.weight.name, ...(isBatchNorm(module) ? [module.variance.name] : [])] : [],
    ),
  );

function startOf({ name, shape }: ParameterSpec, isOne: boolean, { seed, gain }: RandomWeightsParams): Float32Array {
  const count = elementCount(shape);
  if (isOne) return new Float32Array(count).fill(1);
  if (shape.length < 2) return new Float32Array(count);
  const fanIn = elementCount(shape.slice(1));
  const spread = shape.length === 4 ? gain / Math.sqrt(fanIn) : 0.05;
  const random = createRandom(hashSeed(seed, name));
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = spread * normal(random.uniform(), random.uniform());
  return values;
}

/** The Box–Muller transform. */
const normal = (u: number, v: number): number => Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * v);
