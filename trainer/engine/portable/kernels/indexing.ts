/** Kernels of the operations that pick or sum by index. */
import * as tf from '@tensorflow/tfjs-core';
import { type KernelTable, one, two } from '../kernel.ts';

export const indexingKernels: Pick<KernelTable, 'gather' | 'segmentSum' | 'oneHot'> = {
  gather: {
    device: ({ inputs, attrs }) => {
      const [x, indices] = two(inputs);
      return tf.gather(x, indices, attrs.axis);
    },
  },
  // Uses a scatter that adds (tfjs's unsortedSegmentSum compares every id with every segment). Ids outside [0, count) go to a slot that is
  // sliced off.
  segmentSum: {
    device: ({ inputs, attrs: { count } }) => {
      const [data, ids] = two(inputs);
      const inside = tf.logicalAnd(tf.greaterEqual(ids, tf.scalar(0, 'int32')), tf.less(ids, tf.scalar(count, 'int32')));
      const slots = tf.where(inside, ids, tf.fill(ids.shape, count, 'int32'));
      const width = data.size / (ids.size || 1);
      const flat = tf.reshape(data, [ids.size, width]);
      const sums = tf.scatterND(tf.reshape(slots, [ids.size, 1]), flat, [count + 1, width]);
      return tf.reshape(tf.slice(sums, [0, 0], [count, width]), [count, ...data.shape.slice(1)]);
    },
  },
  // As int32 first: the wasm backend writes integers into a float32 result.
  oneHot: { device: ({ inputs, attrs }) => tf.cast(tf.oneHot(one(inputs), attrs.depth, 1, 0, 'int32'), 'float32') },
};
