/** Cases of the operations that rearrange elements. */
import type { Shape } from '../../../../trainer/graph/types.ts';
import { at, broadcastAt, indicesOf } from '../naive.ts';
import { type CaseTable, floats, ints, type OperationCase, whole } from '../operation-case.ts';

const transposed = (shape: Shape, perm: readonly number[]): OperationCase => ({
  title: `transpose of [${shape}] by [${perm}]`,
  feeds: { x: floats(shape) },
  build: (graph, { x }) => ({ y: graph.transpose(x, perm) }),
  expected: ({ x = [] }) =>
    indicesOf(perm.map(axis => shape[axis] as number)).map(index =>
      at(
        x,
        shape,
        shape.map((_, axis) => index[perm.indexOf(axis)] as number),
      ),
    ),
  gradients: whole('x'),
});

const stretched = (from: Shape, to: Shape): OperationCase => ({
  title: `broadcast of [${from}] to [${to}]`,
  feeds: { x: floats(from) },
  build: (graph, { x }) => ({ y: graph.broadcast(x, to) }),
  expected: ({ x = [] }) => indicesOf(to).map(index => broadcastAt(x, from, index)),
  gradients: whole('x'),
});

export const shapeCases: Pick<CaseTable, 'reshape' | 'transpose' | 'slice' | 'pad' | 'concat' | 'broadcast'> = {
  reshape: [
    {
      title: 'reshape',
      feeds: { x: floats([2, 6]) },
      build: (graph, { x }) => ({ y: graph.reshape(x, [3, 1, 4]) }),
      expected: ({ x = [] }) => x,
      gradients: whole('x'),
    },
  ],
  transpose: [
    transposed([2, 3], [1, 0]),
    transposed([2, 3, 4], [2, 0, 1]),
    transposed([2, 3, 4, 2], [0, 2, 1, 3]),
    transposed([2, 1, 3, 2, 2], [4, 2, 0, 1, 3]),
  ],
  slice: [
    {
      title: 'slice',
      feeds: { x: floats([3, 4, 2]) },
      build: (graph, { x }) => ({ y: graph.slice(x, [1, 0, 1], [2, 3, 1]) }),
      expected: ({ x = [] }) => indicesOf([2, 3, 1]).map(([i = 0, j = 0, k = 0]) => at(x, [3, 4, 2], [i + 1, j, k + 1])),
      gradients: whole('x'),
    },
    {
      title: 'slice of a negative axis',
      feeds: { x: floats([2, 5]) },
      build: (graph, { x }) => ({ y: graph.sliceAxis(x, -1, 2, 2) }),
      expected: ({ x = [] }) => [2, 3, 7, 8].map(i => x[i] as number),
      gradients: whole('x'),
    },
    {
      title: 'slice of rank 5',
      feeds: { x: floats([2, 2, 2, 2, 3]) },
      build: (graph, { x }) => ({ y: graph.slice(x, [0, 1, 0, 1, 1], [2, 1, 2, 1, 2]) }),
      expected: ({ x = [] }) => indicesOf([2, 1, 2, 1, 2]).map(([a = 0, , c = 0, , e = 0]) => at(x, [2, 2, 2, 2, 3], [a, 1, c, 1, e + 1])),
    },
  ],
  pad: [
    {
      title: 'pad with a value',
      feeds: { x: floats([2, 2]) },
      build: (graph, { x }) => ({ y: graph.pad(x, [1, 0], [0, 2], -3) }),
      expected: ({ x = [] }) => [-3, -3, -3, -3, ...x.slice(0, 2), -3, -3, ...x.slice(2), -3, -3],
      gradients: whole('x'),
    },
    {
      title: 'pad of int32',
      feeds: { x: ints([2], [1, 2]) },
      build: (graph, { x }) => ({ y: graph.pad(x, [0], [2], -100) }),
      expected: () => [1, 2, -100, -100],
    },
  ],
  concat: [
    {
      title: 'concat over the last axis',
      feeds: { a: floats([2, 2], { seed: 2 }), b: floats([2, 3], { seed: 3 }), c: floats([2, 1], { seed: 4 }) },
      build: (graph, { a, b, c }) => ({ y: graph.concat([a, b, c], -1) }),
      expected: ({ a = [], b = [], c = [] }) => [
        ...a.slice(0, 2),
        ...b.slice(0, 3),
        ...c.slice(0, 1),
        ...a.slice(2),
        ...b.slice(3),
        ...c.slice(1),
      ],
      gradients: whole('a', 'b', 'c'),
    },
    {
      title: 'concat over the first axis, the same part twice',
      feeds: { a: floats([1, 2], { seed: 2 }), b: floats([2, 2], { seed: 3 }) },
      build: (graph, { a, b }) => ({ y: graph.concat([a, b, a], 0) }),
      expected: ({ a = [], b = [] }) => [...a, ...b, ...a],
      gradients: whole('a', 'b'),
    },
  ],
  broadcast: [stretched([3], [2, 3]), stretched([2, 1, 3], [2, 4, 3]), stretched([], [2, 2]), stretched([1, 2, 1], [3, 2, 4])],
};
