/** The kernel of the matrix product. */

import * as tf from '@tensorflow/tfjs-core';
import { dimensions } from '../../../graph/types.ts';
import { lastOf } from '../../../narrow.ts';
import { type KernelTable, two } from '../kernel.ts';

export const productKernels: Pick<KernelTable, 'matmul'> = {
  matmul: {
    device: ({ inputs, attrs }) => {
      const [a, b] = two(inputs);
      return matmul(a, b, attrs.transposeA, attrs.transposeB);
    },
  },
};

/** Below this many multiplications, wasm's simple loop is faster than setting up XNNPACK. */
const SMALL_PRODUCT = 1 << 14;

/**
 * Returns the product over the last two axes. The wasm backend has a fast path (XNNPACK, about 30 GFLOP/s instead of 2.5) only for two
 * untransposed matrices, so there, transposes are materialized and batches split.
 */
export function matmul(a: tf.Tensor, b: tf.Tensor, transposeA: boolean, transposeB: boolean): tf.Tensor {
  if (tf.getBackend() !== 'wasm') return tf.matMul(a, b, transposeA, transposeB);
  const left = transposeA ? swapLast(a) : a;
  // XNNPACK keeps a packed copy of the right side for as long as that tensor lives: the copy of a weight would never be freed.
  const right = transposeB ? swapLast(b) : b.rank === 2 ? tf.clone(b) : b;
  const [m, k] = dimensions(left.shape.slice(-2), 2);
  const n = lastOf(right.shape);
  if (left.rank === 2 || m * k * n < SMALL_PRODUCT) return tf.matMul(left, right);
  const [lefts, rights] = [tf.reshape(left, [-1, m, k]), tf.reshape(right, [-1, k, n])];
  const matrix = (all: tf.Tensor, i: number): tf.Tensor =>
    tf.reshape(tf.slice(all, [i, 0, 0], [1, ...all.shape.slice(1)]), all.shape.slice(1));
  const products = Array.from({ length: lefts.shape[0] as number }, (_, i) =>
    tf.tidy(() => tf.matMul(matrix(lefts, i), matrix(rights, i))),
  );
  return tf.reshape(tf.concat(products), [...left.shape.slice(0, -2), m, n]);
}

function swapLast(x: tf.Tensor): tf.Tensor {
  const axes = x.shape.map((_, i) => i);
  return tf.transpose(x, [...axes.slice(0, -2), x.rank - 1, x.rank - 2]);
}
