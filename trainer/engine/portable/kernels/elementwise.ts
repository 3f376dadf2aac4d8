/** Kernels of the elementwise operations. */
import * as tf from '@tensorflow/tfjs-core';
import type { Elementwise } from '../../../graph/ops/elementwise.ts';
import { storedType } from '../host-array.ts';
import { type KernelTable, one, three, two } from '../kernel.ts';
import { roundToBfloat16 } from './bfloat16.ts';
import { erf } from './erf.ts';

const unary = (f: (x: tf.Tensor) => tf.Tensor) => ({ device: ({ inputs }: { inputs: readonly tf.Tensor[] }) => f(one(inputs)) });
const binary = (f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor) => ({
  device: ({ inputs }: { inputs: readonly tf.Tensor[] }) => f(...two(inputs)),
});

export const elementwiseKernels: Pick<KernelTable, Elementwise> = {
  neg: unary(tf.neg),
  abs: unary(tf.abs),
  // tfjs's wasm backend treats values below 1e-7 as 0.
  sign: unary(x => tf.sub(tf.cast(tf.greater(x, 0), 'float32'), tf.cast(tf.less(x, 0), 'float32'))),
  floor: unary(tf.floor),
  exp: unary(tf.exp),
  log: unary(tf.log),
  sqrt: unary(tf.sqrt),
  rsqrt: unary(tf.rsqrt),
  square: unary(tf.square),
  reciprocal: unary(tf.reciprocal),
  tanh: unary(tf.tanh),
  sigmoid: unary(tf.sigmoid),
  erf: unary(erf),
  relu: unary(tf.relu),
  sin: unary(tf.sin),
  cos: unary(tf.cos),
  // Casts to bool by comparison, because some backends truncate 0.5 to 0 first. A float-to-integer cast truncates toward zero.
  cast: {
    device: ({ inputs, attrs }) => {
      const x = one(inputs);
      if (attrs.dtype === 'bool') return x.dtype === 'bool' ? x : tf.notEqual(x, 0);
      const stored = storedType(attrs.dtype);
      const cast = x.dtype === stored ? x : tf.cast(x, stored);
      return attrs.dtype === 'bfloat16' ? roundToBfloat16(cast) : cast;
    },
  },
  add: binary(tf.add),
  sub: binary(tf.sub),
  mul: binary(tf.mul),
  div: binary(tf.div),
  maximum: binary(tf.maximum),
  minimum: binary(tf.minimum),
  equal: binary(tf.equal),
  less: binary(tf.less),
  greaterEqual: binary(tf.greaterEqual),
  logicalAnd: binary(tf.logicalAnd),
  select: {
    device: ({ inputs }) => {
      const [condition, a, b] = three(inputs);
      return tf.where(condition, a, b);
    },
  },
  sigmoidGrad: binary((y, dy) => tf.mul(dy, tf.mul(y, tf.sub(1, y)))),
};
