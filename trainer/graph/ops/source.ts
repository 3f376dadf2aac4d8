/** Operations without tensor inputs from the graph: feeds, constants, variables, random values. */
import type { OpTable } from '../op-rule.ts';
import { elementCount, GraphError } from '../types.ts';

type Sources = 'feed' | 'constant' | 'read' | 'randomMask';

export const sourceRules: Pick<OpTable, Sources> = {
  feed: { infer: (_, { spec }) => spec, gradient: null, flops: () => 0, buffer: 'fresh' },
  constant: { infer: (_, { shape, dtype }) => ({ shape, dtype }), gradient: null, flops: () => 0, buffer: 'fresh' },
  read: { infer: (_, { shape, dtype }) => ({ shape, dtype }), gradient: null, flops: () => 0, buffer: 'view' },
  randomMask: {
    infer: ([seed], { shape, ones }) => {
      if (seed?.dtype !== 'int32' || seed.shape.length !== 1 || seed.shape[0] !== 2) throw new GraphError('the seed must be int32[2]');
      if (!Number.isInteger(ones) || ones < 1 || ones > 65536) throw new GraphError(`a share of ${ones} / 65536 is none of a random mask`);
      return { shape, dtype: 'bool' };
    },
    gradient: null,
    flops: (_, output) => 6 * elementCount(output.shape),
    buffer: 'fresh',
  },
};
