/** Cases of products grouped by expert. */
import { type CaseTable, floats, ints, type OperationCase } from '../operation-case.ts';

interface Sizes {
  readonly experts: number;
  readonly out: number;
  readonly width: number;
  /** Number of rows of x. */
  readonly m: number;
  readonly ids: readonly number[];
}

function naiveProduct({ experts, out, width, m, ids }: Sizes, x: readonly number[], w: readonly number[], transposed: boolean): number[] {
  if (w.length !== experts * out * width) throw new Error('the weights are of other sizes');
  return ids.flatMap((expert, t) => {
    const row = Math.floor((t * m) / ids.length);
    const weight = (i: number, j: number): number => w[(expert * out + i) * width + j] as number;
    const sum = (count: number, term: (k: number) => number): number =>
      Array.from({ length: count }, (_, k) => term(k)).reduce((a, b) => a + b, 0);
    return transposed
      ? Array.from({ length: width }, (_, j) => sum(out, i => weight(i, j) * (x[row * out + i] as number)))
      : Array.from({ length: out }, (_, i) => sum(width, j => weight(i, j) * (x[row * width + j] as number)));
  });
}

const product = (title: string, sizes: Sizes, transposed: boolean, differences = true): OperationCase => ({
  title: `expertProduct${transposed ? ' by Wᵀ' : ''}: ${title}`,
  feeds: {
    x: floats([sizes.m, transposed ? sizes.out : sizes.width], { seed: 2 }),
    w: floats([sizes.experts * sizes.out, sizes.width], { seed: 5 }),
    ids: ints([sizes.ids.length], sizes.ids),
  },
  build: (graph, { x, w, ids }) => ({
    y: graph.expertProduct(x, w, ids, { experts: sizes.experts, transposed }),
  }),
  expected: ({ x = [], w = [] }) => naiveProduct(sizes, x, w, transposed),
  gradients: differences ? { x: {}, w: {} } : undefined,
});

const gradient = (
  title: string,
  { experts, out, width, ids }: Sizes,
  repeats: readonly [number, number],
  rows?: readonly number[],
): OperationCase => ({
  title: `expertGradient: ${title}`,
  feeds: {
    a: floats([ids.length / repeats[0], out], { seed: 3 }),
    b: floats([ids.length / repeats[1], width], { seed: 4 }),
    ids: ints([ids.length], ids),
    ...(rows && { rows: ints([rows.length], rows) }),
  },
  build: (graph, inputs) => ({ y: graph.expertGradient(inputs.a, inputs.b, inputs.ids, experts, rows && inputs.rows) }),
  expected: ({ a = [], b = [] }) => {
    const sums = new Array<number>(experts * out * width).fill(0);
    ids.forEach((expert, t) => {
      for (let i = 0; i < out; i++)
        for (let j = 0; j < width; j++)
          (sums[(expert * out + i) * width + j] as number) +=
            (a[Math.floor(t / repeats[0]) * out + i] as number) * (b[Math.floor(t / repeats[1]) * width + j] as number);
    });
    return rows ? rows.flatMap(row => sums.slice(row * width, (row + 1) * width)) : sums;
  },
});

const few: Sizes = { experts: 3, out: 2, width: 4, m: 3, ids: [2, 0, 0, 2, 0, 2] };
/** Large enough for the fast paths of every engine; the fourth expert has no rows. */
const many: Sizes = {
  experts: 6,
  out: 37,
  width: 53,
  m: 40,
  ids: Array.from({ length: 120 }, (_, t) => [0, 5, 1, 2, 5, 4, 5][(t * t) % 7] as number),
};
/** More than a block of assignments for some experts, unsorted. */
const blocks: Sizes = {
  experts: 5,
  out: 3,
  width: 4,
  m: 350,
  ids: Array.from({ length: 700 }, (_, t) => [0, 4, 1, 4, 2, 4, 1][(t * t + 3 * t) % 7] as number),
};
/** Every seventh row of the stack, unsorted. */
const scattered = Array.from({ length: 31 }, (_, i) => ((i * 13) % 31) * 7);

export const expertCases: Pick<CaseTable, 'expertProduct' | 'expertGradient'> = {
  expertProduct: [
    product('two experts of three for each row', few, false),
    product('two experts of three for each row', few, true),
    product('one expert for each row', { ...few, m: 6 }, false),
    product('a single expert', { experts: 1, out: 3, width: 2, m: 2, ids: [0, 0] }, false),
    product('an expert without work', many, false, false),
    product('an expert without work', many, true, false),
    product('blocks of assignments', blocks, false, false),
    product('blocks of assignments', blocks, true, false),
    {
      title: 'expertProduct: rows of the stack, some of an expert without work',
      feeds: { x: floats([3, 4], { seed: 2 }), w: floats([6, 4], { seed: 5 }), ids: ints([6], few.ids) },
      build: (graph, { x, w, ids }) => ({
        y: graph.tanh(graph.expertProduct(x, w, ids, { experts: 3, transposed: false })),
      }),
      gradients: { x: {}, w: { rows: [5, 1, 2] } },
    },
  ],
  expertGradient: [
    gradient('all', few, [1, 2]),
    gradient('all', many, [1, 3]),
    gradient('blocks of assignments', blocks, [2, 1]),
    gradient('rows', few, [1, 2], [4, 3, 0]),
    gradient('rows in no order', many, [3, 1], scattered),
    gradient('rows of one expert', many, [1, 3], [37 * 5, 37 * 5 + 36]),
  ],
};
