/** Cases of the operations that gather or sum by index. */
import type { Shape } from '../../../../trainer/graph/types.ts';
import { at, indicesOf } from '../naive.ts';
import { type CaseTable, floats, ints, type OperationCase, whole } from '../operation-case.ts';

const SHAPE = [3, 4, 2];

/** A gather with repeated indices. */
const gathered = (axis: number, indices: readonly number[], shape: Shape): OperationCase => ({
  title: `gather on axis ${axis} by indices of [${shape}]`,
  feeds: { x: floats(SHAPE), i: ints(shape, indices) },
  build: (graph, { x, i }) => ({ y: graph.gather(x, i, axis) }),
  expected: ({ x = [] }) => {
    const place = axis < 0 ? axis + 3 : axis;
    return indicesOf([...SHAPE.slice(0, place), indices.length, ...SHAPE.slice(place + 1)]).map(index =>
      at(
        x,
        SHAPE,
        index.map((n, i) => (i === place ? (indices[n] as number) : n)),
      ),
    );
  },
  gradients: whole('x'),
});

const segments = (data: Shape, ids: readonly number[], count: number): OperationCase => ({
  title: `segmentSum of [${data}] into ${count}`,
  feeds: { x: floats(data), ids: ints([ids.length], ids) },
  build: (graph, { x, ids }) => ({ y: graph.segmentSum(x, ids, count) }),
  expected: ({ x = [] }) => {
    const width = x.length / ids.length;
    const sums = new Array<number>(count * width).fill(0);
    ids.forEach((id, row) => {
      for (let c = 0; c < width && id >= 0; c++) sums[id * width + c] = (sums[id * width + c] as number) + (x[row * width + c] as number);
    });
    return sums;
  },
  gradients: whole('x'),
});

export const indexingCases: Pick<CaseTable, 'gather' | 'segmentSum' | 'oneHot'> = {
  gather: [
    gathered(0, [2, 0, 2], [3]),
    gathered(1, [3, 3, 1, 3], [2, 2]),
    gathered(-1, [1, 0, 1], [3]),
    gathered(0, [1], []),
    {
      title: 'gather of rows of an embedding: repeated ids, and a row that no id picks',
      feeds: { x: floats([5, 3]), i: ints([2, 3], [1, 4, 1, 0, 1, 2]) },
      build: (graph, { x, i }) => ({ y: graph.square(graph.gather(x, i)) }),
      gradients: { x: { rows: [1, 3, 4] } },
    },
    {
      title: 'gather of int32',
      feeds: { x: ints([3], [10, 20, 30]), i: ints([2], [2, 2]) },
      build: (graph, { x, i }) => ({ y: graph.gather(x, i) }),
      expected: () => [30, 30],
    },
  ],
  segmentSum: [segments([5, 2], [0, 2, -1, 2, 0], 4), segments([4], [1, 1, -1, 1], 2), segments([3, 2, 2], [1, 0, 1], 2)],
  oneHot: [
    {
      title: 'oneHot; an id below 0 gives zeros',
      feeds: { i: ints([2, 2], [0, 2, -1, 1]) },
      build: (graph, { i }) => ({ y: graph.oneHot(i, 3) }),
      expected: ({ i = [] }) => i.flatMap(id => [0, 1, 2].map(k => Number(k === id))),
    },
  ],
};
