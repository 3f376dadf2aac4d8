/** Kernels of the reductions. */
import * as tf from '@tensorflow/tfjs-core';
import { type KernelTable, one } from '../kernel.ts';

export const reductionKernels: Pick<KernelTable, 'sum' | 'max' | 'argmax' | 'softmax'> = {
  sum: { device: ({ inputs, attrs }) => tf.sum(one(inputs), [...attrs.axes], attrs.keepDims) },
  max: { device: ({ inputs, attrs }) => tf.max(one(inputs), [...attrs.axes], attrs.keepDims) },
  argmax: { device: ({ inputs, attrs }) => tf.argMax(one(inputs), attrs.axis) },
  softmax: { device: ({ inputs }) => tf.softmax(one(inputs)) },
};
