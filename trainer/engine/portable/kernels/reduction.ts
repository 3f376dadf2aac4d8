/** Kernels of the reductions. */

import * as tf from '@tensorflow/tfjs-core';
import { lastOf } from '../../../narrow.ts';
import { type KernelTable, one } from '../kernel.ts';

export const reductionKernels: Pick<KernelTable, 'sum' | 'max' | 'argmax' | 'softmax'> = {
  sum: { device: ({ inputs, attrs }) => sum(one(inputs), attrs.axes, attrs.keepDims) },
  max: { device: ({ inputs, attrs }) => tf.max(one(inputs), [...attrs.axes], attrs.keepDims) },
  argmax: { device: ({ inputs, attrs }) => tf.argMax(one(inputs), attrs.axis) },
  softmax: { device: ({ inputs }) => softmax(one(inputs)) },
};

/**
 * Minimum length of sums that are added in blocks. The wasm backend adds sequentially, so its error grows with their length: 7e-7 for a sum
 * of 576 positive values and 7e-5 for 49,152 (SmolLM2's vocabulary), which alone changes a loss by 2.4e-5.
 */
const LONG_SUM = 128;

/** Sums axis by axis, each in blocks of about the square root of its length. */
function sum(x: tf.Tensor, axes: readonly number[], keepDims: boolean): tf.Tensor {
  const count = axes.reduce((product, axis) => product * (x.shape[axis] as number), 1);
  if (tf.getBackend() !== 'wasm' || count < LONG_SUM) return tf.sum(x, [...axes], keepDims);
  const kept = [...axes].sort((a, b) => b - a).reduce(blockedSum, x);
  return keepDims
    ? kept
    : tf.reshape(
        kept,
        x.shape.filter((_, axis) => !axes.includes(axis)),
      );
}

/** Sums over an axis, which is kept with a length of 1. */
function blockedSum(x: tf.Tensor, axis: number): tf.Tensor {
  const length = x.shape[axis] as number;
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
  const size = Math.ceil(Math.sqrt(length));
  const blocks = Math.floor(length / size);
  const part = (from: number, count: number): tf.Tensor =>
    tf.slice(x, [...before.map(() => 0), from, ...after.map(() => 0)], [...before, count, ...after]);
  const whole = blocks * size;
  const body = tf.reshape(whole === length ? x : part(0, whole), [...before, blocks, size, ...after]);
  const total = tf.sum(tf.sum(body, axis + 1), axis, true);
  return whole === length ? total : tf.add(total, tf.sum(part(whole, length - whole), axis, true));
}

/** Computes softmax over the last axis. */
function softmax(x: tf.Tensor): tf.Tensor {
  const length = lastOf(x.shape);
  if (tf.getBackend() !== 'wasm' || length < LONG_SUM) return tf.softmax(x);
  const powers = tf.exp(tf.sub(x, tf.max(x, -1, true)));
  return tf.div(powers, blockedSum(powers, x.rank - 1));
}
