/** Kernels of the operations that move elements. */
import * as tf from '@tensorflow/tfjs-core';
import { type KernelTable, one } from '../kernel.ts';
import { padAxes } from './pad.ts';

export const shapeKernels: Pick<KernelTable, 'reshape' | 'transpose' | 'slice' | 'pad' | 'concat' | 'broadcast'> = {
  reshape: { device: ({ inputs, attrs }) => tf.reshape(one(inputs), [...attrs.shape]) },
  transpose: { device: ({ inputs, attrs }) => tf.transpose(one(inputs), [...attrs.perm]) },
  slice: { device: ({ inputs, attrs }) => tf.slice(one(inputs), [...attrs.begin], [...attrs.size]) },
  pad: {
    device: ({ inputs, attrs }) =>
      padAxes(
        one(inputs),
        attrs.before.map((n, i) => [n, attrs.after[i] as number] as const),
        attrs.value,
      ),
  },
  concat: { device: ({ inputs, attrs }) => tf.concat([...inputs], attrs.axis) },
  broadcast: { device: ({ inputs, attrs }) => tf.broadcastTo(one(inputs), [...attrs.shape]) },
};
