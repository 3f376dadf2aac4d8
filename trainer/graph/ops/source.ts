/** Operations that bring tensors in: feeds, constants, variables, random numbers. */
import type { OpTable } from '../op-table.ts';
import { elementCount, GraphError } from '../types.ts';

type Sources = 'feed' | 'constant' | 'read' | 'randomUniform';

export const sourceRules: Pick<OpTable, Sources> = {
  feed: { infer: (_, { spec }) => spec, gradient: null, flops: () => 0, buffer: 'fresh' },
  constant: { infer: (_, { shape, dtype }) => ({ shape, dtype }), gradient: null, flops: () => 0, buffer: 'fresh' },
  read: { infer: (_, { shape, dtype }) => ({ shape, dtype }), gradient: null, flops: () => 0, buffer: 'view' },
  randomUniform: {
    infer: ([seed], { shape }) => {
      if (seed?.dtype !== 'int32' || seed.shape.length !== 1 || seed.shape[0] !== 2) throw new GraphError('the seed must be int32[2]');
      return { shape, dtype: 'float32' };
    },
    gradient: null,
    flops: (_, output) => 10 * elementCount(output.shape),
    buffer: 'fresh',
  },
};
