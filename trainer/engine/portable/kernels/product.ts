/** Kernel of the matrix product. */
import * as tf from '@tensorflow/tfjs-core';
import { type KernelTable, two } from '../kernel.ts';

export const productKernels: Pick<KernelTable, 'matmul'> = {
  matmul: {
    device: ({ inputs, attrs }) => {
      const [a, b] = two(inputs);
      return tf.matMul(a, b, attrs.transposeA, attrs.transposeB);
    },
  },
};
