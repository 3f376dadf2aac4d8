/**
 * Sums over the processes of a run. They are in two parts, so that other work continues while a sum is on its way. Losses of all processes add up,
 * so toward what one process gives to a sum flow the gradients of all that read it.
 */
import type { OpTable } from '../op-rule.ts';
import { GraphError, type TensorSpec } from '../types.ts';

/** Never merged: all processes must begin the same sums in the same order. */
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
