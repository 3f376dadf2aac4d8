/** Cases of convolution and pooling. */
import type { OpAttributes, Pool2d, Window2d } from '../../../../trainer/graph/attributes.ts';
import { windowOutput } from '../../../../trainer/graph/ops/convolution.ts';
import { elementCount, fromBfloat16, type Shape, toBfloat16 } from '../../../../trainer/graph/types.ts';
import { required } from '../../../../trainer/narrow.ts';
import { convolutionTerms, flatIndex, indicesOf, slideWindow } from '../naive.ts';
import { type CaseTable, floats, floatsOf, inputNodes, type OperationCase, randomNumbers, whole } from '../operation-case.ts';

type Conv = OpAttributes['conv2d'];

const PLAIN: Conv = { strides: [1, 1], padding: [0, 0, 0, 0], dilations: [1, 1], groups: 1 };

interface ConvCase {
  readonly title: string;
  readonly x: Shape;
  readonly filter: Shape;
  readonly attrs: Conv;
}

const CONVOLUTIONS: readonly ConvCase[] = [
  { title: 'plain', x: [2, 3, 4, 2], filter: [3, 2, 2, 2], attrs: PLAIN },
  { title: '1×1', x: [1, 3, 3, 4], filter: [2, 4, 1, 1], attrs: PLAIN },
  { title: '1×1, stride 2', x: [2, 5, 4, 8], filter: [3, 8, 1, 1], attrs: { ...PLAIN, strides: [2, 2] } },
  { title: 'stride 2, a row left over', x: [1, 6, 5, 2], filter: [2, 2, 3, 2], attrs: { ...PLAIN, strides: [2, 2] } },
  { title: 'padded unevenly', x: [1, 3, 4, 1], filter: [2, 1, 3, 3], attrs: { ...PLAIN, padding: [1, 0, 2, 1] } },
  { title: 'stride 2 with padding 1', x: [1, 5, 5, 2], filter: [2, 2, 3, 3], attrs: { ...PLAIN, strides: [2, 2], padding: [1, 1, 1, 1] } },
  { title: 'dilated', x: [1, 5, 5, 1], filter: [2, 1, 2, 3], attrs: { ...PLAIN, dilations: [2, 1], padding: [0, 0, 1, 1] } },
  { title: 'dilated with stride', x: [1, 6, 6, 1], filter: [2, 1, 2, 2], attrs: { ...PLAIN, dilations: [2, 2], strides: [2, 1] } },
  { title: 'two groups', x: [1, 3, 3, 4], filter: [6, 2, 2, 2], attrs: { ...PLAIN, groups: 2 } },
  {
    title: 'depthwise, padded, stride 2',
    x: [1, 4, 4, 3],
    filter: [3, 1, 3, 3],
    attrs: { ...PLAIN, groups: 3, strides: [2, 2], padding: [1, 1, 1, 1] },
  },
  { title: 'depthwise, 7×7', x: [1, 4, 3, 2], filter: [2, 1, 7, 7], attrs: { ...PLAIN, groups: 2, padding: [3, 3, 3, 3] } },
  { title: 'depthwise, two filters a channel', x: [1, 4, 4, 2], filter: [4, 1, 2, 2], attrs: { ...PLAIN, groups: 2 } },
  {
    title: 'depthwise, strides that differ',
    x: [1, 5, 4, 2],
    filter: [2, 1, 3, 2],
    attrs: { ...PLAIN, groups: 2, strides: [2, 1], padding: [1, 0, 0, 1] },
  },
  { title: 'patches, as a vision transformer', x: [1, 4, 6, 3], filter: [4, 3, 2, 2], attrs: { ...PLAIN, strides: [2, 2] } },
];

const outputShape = ({ x, filter, attrs }: ConvCase): Shape => [
  x[0] as number,
  ...windowOutput(x[1] as number, x[2] as number, [filter[2] as number, filter[3] as number], attrs),
  filter[0] as number,
];

/** Adds a(p)·b(q) at index r for every term of a convolution. */
function accumulate(
  test: ConvCase,
  size: number,
  term: (x: number, filter: number, y: number) => readonly [place: number, value: number],
): number[] {
  const sums = new Array<number>(size).fill(0);
  convolutionTerms(test.x, test.filter, outputShape(test), test.attrs, (x, filter, y) => {
    const [place, value] = term(x, filter, y);
    sums[place] = (sums[place] as number) + value;
  });
  return sums;
}

const forward = (test: ConvCase): OperationCase => ({
  title: `conv2d ${test.title}`,
  feeds: { x: floats(test.x, { seed: 2 }), f: floats(test.filter, { seed: 5 }) },
  build: (graph, { x, f }) => ({ y: graph.conv2d(x, f, test.attrs) }),
  expected: ({ x = [], f = [] }) =>
    accumulate(test, elementCount(outputShape(test)), (p, q, y) => [y, (x[p] as number) * (f[q] as number)]),
  gradients: whole('x', 'f'),
});

const inputGradient = (test: ConvCase): OperationCase => ({
  title: `conv2dInputGrad ${test.title}`,
  feeds: { dy: floats(outputShape(test), { seed: 2 }), f: floats(test.filter, { seed: 5 }) },
  build: (graph, { dy, f }) => ({ y: graph.node('conv2dInputGrad', [dy, f], { ...test.attrs, inputShape: test.x }) }),
  expected: ({ dy = [], f = [] }) => accumulate(test, elementCount(test.x), (p, q, y) => [p, (dy[y] as number) * (f[q] as number)]),
});

const filterGradient = (test: ConvCase): OperationCase => ({
  title: `conv2dFilterGrad ${test.title}`,
  feeds: { x: floats(test.x, { seed: 5 }), dy: floats(outputShape(test), { seed: 2 }) },
  build: (graph, { x, dy }) => ({
    y: graph.node('conv2dFilterGrad', [x, dy], { ...test.attrs, filterShape: test.filter }),
  }),
  expected: ({ x = [], dy = [] }) => accumulate(test, elementCount(test.filter), (p, q, y) => [q, (dy[y] as number) * (x[p] as number)]),
});

/** The same case in bfloat16: inputs are rounded, and the result is rounded once. */
const narrow = (test: OperationCase): OperationCase => ({
  title: `${test.title}, bfloat16`,
  feeds: test.feeds,
  build: (graph, inputs) => {
    const rounded = Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, graph.cast(x, 'bfloat16')]));
    return { y: graph.cast(required(test.build(graph, inputNodes(rounded)).y, 'the output'), 'float32') };
  },
  expected: inputs => {
    const rounded = Object.entries(inputs).map(([name, x]) => [name, Array.from(fromBfloat16(toBfloat16(Float32Array.from(x))))]);
    return test.expected?.(Object.fromEntries(rounded)) ?? [];
  },
  tolerance: 2 ** -8,
});

interface PoolCase {
  readonly title: string;
  readonly x: Shape;
  readonly attrs: Pool2d;
}

const WINDOW: Window2d = { strides: [2, 2], padding: [0, 0, 0, 0], dilations: [1, 1] };

const POOLS: readonly PoolCase[] = [
  { title: '2×2', x: [1, 4, 4, 2], attrs: { ...WINDOW, size: [2, 2] } },
  { title: '3×3, stride 2, padding 1', x: [2, 5, 4, 1], attrs: { ...WINDOW, size: [3, 3], padding: [1, 1, 1, 1] } },
  { title: 'overlapping', x: [1, 4, 3, 2], attrs: { ...WINDOW, size: [2, 2], strides: [1, 1] } },
];

/** Values far enough apart that a small step changes no maximum. Some are negative, so that padding never wins. */
function distinct(shape: Shape): number[] {
  const order = randomNumbers(elementCount(shape), 0, 1, 4)
    .map((key, i) => ({ key, i }))
    .sort((a, b) => a.key - b.key);
  const values = new Array<number>(order.length);
  order.forEach(({ i }, rank) => {
    values[i] = rank / 10 - 2;
  });
  return values;
}

/** Returns, for each output, the flat input index of the first maximum. */
function winners({ x: shape, attrs }: PoolCase, x: readonly number[]): number[] {
  const [batch = 0, height = 0, width = 0, channels = 0] = shape;
  const [outHeight, outWidth] = windowOutput(height, width, attrs.size, attrs);
  const output = [batch, outHeight, outWidth, channels];
  const best = new Array<number>(elementCount(output)).fill(-1);
  slideWindow([height, width], [outHeight, outWidth], attrs.size, attrs, place => {
    for (const [b = 0, c = 0] of indicesOf([batch, channels])) {
      const from = flatIndex([b, place.row, place.column, c], shape);
      const to = flatIndex([b, place.y, place.x, c], output);
      const holder = best[to] as number;
      if (holder < 0 || (x[from] as number) > (x[holder] as number)) best[to] = from;
    }
  });
  return best;
}

const pooled = (test: PoolCase): OperationCase => ({
  title: `maxPool2d ${test.title}`,
  feeds: { x: floatsOf(test.x, distinct(test.x)) },
  build: (graph, { x }) => ({ y: graph.maxPool2d(x, test.attrs) }),
  expected: ({ x = [] }) => winners(test, x).map(place => x[place] as number),
  gradients: whole('x'),
});

function pooledGradient(test: PoolCase, x: readonly number[], title = test.title): OperationCase {
  const [batch = 0, height = 0, width = 0, channels = 0] = test.x;
  const output = [batch, ...windowOutput(height, width, test.attrs.size, test.attrs), channels];
  return {
    title: `maxPool2dGrad ${title}`,
    feeds: { x: floatsOf(test.x, x), dy: floats(output, { seed: 3 }) },
    build: (graph, { x, dy }) => ({
      y: graph.node('maxPool2dGrad', [x, graph.maxPool2d(x, test.attrs), dy], test.attrs),
    }),
    expected: ({ x = [], dy = [] }) => {
      const sums = new Array<number>(x.length).fill(0);
      winners(test, x).forEach((place, i) => {
        sums[place] = (sums[place] as number) + (dy[i] as number);
      });
      return sums;
    },
  };
}

const TIED: PoolCase = { title: 'ties', x: [1, 2, 4, 1], attrs: { ...WINDOW, size: [2, 2] } };

export const convolutionCases: Pick<CaseTable, 'conv2d' | 'conv2dInputGrad' | 'conv2dFilterGrad' | 'maxPool2d' | 'maxPool2dGrad'> = {
  conv2d: [
    ...CONVOLUTIONS.map(forward),
    ...CONVOLUTIONS.map(forward).map(narrow),
    {
      title: 'conv2d: rows of a filter',
      feeds: { x: floats([1, 4, 4, 2], { seed: 2 }), f: floats([4, 2, 2, 2], { seed: 5 }) },
      build: (graph, { x, f }) => ({ y: graph.conv2d(x, f, { ...PLAIN, padding: [1, 0, 1, 0] }) }),
      gradients: { f: { rows: [3, 1] } },
    },
    {
      title: 'conv2d: rows of a grouped filter',
      feeds: { x: floats([1, 3, 3, 4], { seed: 2 }), f: floats([4, 2, 2, 2], { seed: 5 }) },
      build: (graph, { x, f }) => ({ y: graph.conv2d(x, f, { ...PLAIN, groups: 2 }) }),
      gradients: { f: { rows: [3, 0] } },
    },
    {
      title: 'conv2d: rows of a depthwise filter',
      feeds: { x: floats([2, 3, 3, 4], { seed: 2 }), f: floats([4, 1, 3, 3], { seed: 5 }) },
      build: (graph, { x, f }) => ({ y: graph.conv2d(x, f, { ...PLAIN, groups: 4, padding: [1, 1, 1, 1] }) }),
      gradients: { f: { rows: [3, 0] } },
    },
  ],
  conv2dInputGrad: [...CONVOLUTIONS.map(inputGradient), ...CONVOLUTIONS.map(inputGradient).map(narrow)],
  conv2dFilterGrad: [...CONVOLUTIONS.map(filterGradient), ...CONVOLUTIONS.map(filterGradient).map(narrow)],
  maxPool2d: POOLS.map(pooled),
  maxPool2dGrad: [
    ...POOLS.map(test => pooledGradient(test, distinct(test.x))),
    pooledGradient(TIED, [1, 1, 0, 3, 1, 0, 3, 3], 'ties go to the first'),
  ],
};
