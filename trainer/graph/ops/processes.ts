/**
 * Sums over the processes of a run. Each sum has a start and an end, so that other work continues while it is in transit. The losses of all
 * processes add up, so the gradient of one process's contribution is the sum of the gradients of all readers of the sum.
 */
import type { OpTable } from '../op-rule.ts';
import { GraphError, type TensorSpec } from '../types.ts';

/** Never merged: all processes must start the same sums in the same order. */
const sum = {
  flops: () => 0,
  pure: false,
  infer: ([x]: readonly TensorSpec[]) => {
    if (x?.dtype !== 'float32') throw new GraphError('only float32 is summed over processes');
    return { shape: x.shape, dtype: x.dtype };
  },
} as const;

export const processRules: Pick<OpTable, 'beginSum' | 'endSum'> = {
  beginSum: { ...sum, gradient: ({ dy }) => [dy], buffer: 'reuse' },
  endSum: { ...sum, gradient: ({ graph, dy }) => [graph.totalOf(dy)], buffer: 'view' },
};
