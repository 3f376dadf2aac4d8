/** Cases of the operations that work element by element. */
import type { Graph, Node } from '../../../../trainer/graph/graph.ts';
import type { Binary, Comparison, Elementwise, Unary } from '../../../../trainer/graph/ops/elementwise.ts';
import { broadcastShapes, type DType, type Shape } from '../../../../trainer/graph/types.ts';
import { erf, pointwise } from '../naive.ts';
import { awayFromZero, bools, type CaseTable, type Data, floats, floatsOf, ints, type OperationCase, whole } from '../operation-case.ts';

function unary(op: Unary, f: (x: number) => number, x: Data = floats([2, 3, 4]), differentiable = true): OperationCase[] {
  return [
    {
      title: `${op} of [${x.shape}]`,
      feeds: { x },
      build: (graph, { x }) => ({ y: graph[op](x) }),
      expected: ({ x = [] }) => x.map(f),
      gradients: differentiable ? whole('x') : undefined,
    },
    {
      title: `${op} of a scalar`,
      feeds: { x: floatsOf([], [0.75]) },
      build: (graph, { x }) => ({ y: graph[op](x) }),
      expected: ({ x = [] }) => x.map(f),
    },
  ];
}

const PAIRS: readonly (readonly [Shape, Shape])[] = [
  [
    [2, 3],
    [2, 3],
  ],
  [
    [2, 3, 4],
    [3, 1],
  ],
  [
    [2, 1, 4],
    [1, 3, 1],
  ],
  [[4], [2, 3, 4]],
  [[2, 2], []],
];

type Make = (shape: Shape, seed: number) => Data;

const anywhere: Make = (shape, seed) => floats(shape, { seed });
const positive: Make = (shape, seed) => floats(shape, { low: 0.5, high: 2, seed });
/** Data on a grid of 0.1, shifted by the seed, so that two inputs with different seeds are never close to a tie. */
const onGrid: Make = (shape, seed) =>
  floatsOf(
    shape,
    Array.from(floats(shape, { seed }).data, x => Math.round(x * 10) / 10 + seed / 100),
  );

function binary(op: Binary, f: (a: number, b: number) => number, a: Make = anywhere, b: Make = a): OperationCase[] {
  return PAIRS.map(([left, right]) => ({
    title: `${op} of [${left}] and [${right}]`,
    feeds: { a: a(left, 3), b: b(right, 8) },
    build: (graph, inputs) => ({ y: graph[op](inputs.a, inputs.b) }),
    expected: ({ a = [], b = [] }) => pointwise(broadcastShapes(left, right), a, left, b, right, f),
    gradients: whole('a', 'b'),
  }));
}

/** Integers; for maximum and minimum, with an exact tie, whose gradient goes to the first input. */
function integers(op: Binary, f: (a: number, b: number) => number): OperationCase {
  return {
    title: `${op} of int32`,
    feeds: { a: ints([2, 3], [5, -7, 16777217, 0, 3, -2]), b: ints([3], [2, -7, 1]) },
    build: (graph, { a, b }) => ({ y: graph[op](a, b) }),
    expected: ({ a = [], b = [] }) => pointwise([2, 3], a, [2, 3], b, [3], f),
  };
}

const tie = (op: 'maximum' | 'minimum', gradA: number[], gradB: number[]): OperationCase => ({
  title: `${op} with a tie`,
  feeds: { a: floatsOf([3], [1, 2, 3]), b: floatsOf([3], [1, 3, 2]) },
  build: (graph, { a, b }) => ({ y: graph[op](a, b) }),
  expectedGradients: { a: gradA, b: gradB },
});

function comparison(op: Exclude<Comparison, 'logicalAnd'>, f: (a: number, b: number) => boolean): OperationCase[] {
  const make = (title: string, a: Data, b: Data): OperationCase => ({
    title: `${op} of ${title}`,
    feeds: { a, b },
    build: (graph, inputs) => ({ y: graph[op](inputs.a, inputs.b) }),
    expected: inputs =>
      pointwise(broadcastShapes(a.shape, b.shape), inputs.a ?? [], a.shape, inputs.b ?? [], b.shape, (x, y) => Number(f(x, y))),
  });
  return [
    make('float32, broadcast', floatsOf([2, 3], [1, 2, 3, 1.5, 2, 2.5]), floatsOf([3], [1, 2, 2.5])),
    make('int32', ints([4], [1, -2, 3, 0]), ints([4], [1, 2, -3, 0])),
    make('columns with rows', ints([3, 1], [0, 1, 2]), ints([1, 4], [2, 0, 0, 7])),
  ];
}

/** Values on both sides of a tie in bfloat16 rounding (8 significant bits), and large and small values. */
const ROUNDING = [1, 1.00390625, 1.01171875, 1.005, -1.01171875, 3.14159274, -1e-20, 6.5e37, 3.3895313892515355e38, 0, -0.1];

function roundBfloat16(x: number): number {
  if (x === 0) return x;
  const ulp = 2 ** (Math.floor(Math.log2(Math.abs(x))) - 7);
  const below = Math.floor(x / ulp);
  const rest = x / ulp - below;
  return (rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below) * ulp;
}

function casts(): OperationCase[] {
  const make = (title: string, x: Data, to: (graph: Graph, x: Node) => Node, f: (x: number) => number): OperationCase => ({
    title: `cast ${title}`,
    feeds: { x },
    build: (graph, inputs) => ({ y: to(graph, inputs.x) }),
    expected: ({ x = [] }) => x.map(f),
  });
  const to = (dtype: DType) => (graph: Graph, x: Node) => graph.cast(x, dtype);
  return [
    make('float32 to int32 cuts off', floatsOf([6], [1.9, -1.9, 0.5, -0.5, 7, 1e6]), to('int32'), Math.trunc),
    make('float32 to bool', floatsOf([4], [0, 0.5, -2, 1]), to('bool'), x => Number(x !== 0)),
    make('int32 to float32', ints([3], [1, -2, 1000]), to('float32'), x => x),
    make('int32 to bool', ints([3], [0, 256, -1]), to('bool'), x => Number(x !== 0)),
    make('bool to float32', bools([3], [1, 0, 1]), to('float32'), x => x),
    make('bool to int32', bools([3], [1, 0, 1]), to('int32'), x => x),
    make('int8 to float32', ints([3], [-128, 127, 0], 'int8'), to('float32'), x => x),
    make('uint8 to float32', ints([3], [255, 128, 0], 'uint8'), to('float32'), x => x),
    make(
      'to bfloat16 and back',
      floatsOf([ROUNDING.length], ROUNDING),
      (graph, x) => graph.cast(graph.cast(x, 'bfloat16'), 'float32'),
      roundBfloat16,
    ),
    {
      title: 'cast passes rows through',
      feeds: { w: ints([3, 2], [1, 2, 3, 4, 5, 6], 'int8'), x: floats([2, 2]) },
      build: (graph, { w, x }) => ({ y: graph.matmul(x, graph.cast(w, 'float32'), { transposeB: true }) }),
      gradients: whole('x'),
    },
  ];
}

export const elementwiseCases: Pick<CaseTable, Elementwise> = {
  neg: unary('neg', x => -x),
  abs: unary('abs', Math.abs, awayFromZero([2, 3, 4])),
  sign: unary('sign', Math.sign, floatsOf([5], [-2, -0.25, 0, 0.25, 3]), false),
  floor: unary('floor', Math.floor, floatsOf([8], [-2, -0.25, 0, 0.25, 3, 2.75, 254.9999, 1e9]), false),
  exp: unary('exp', Math.exp),
  log: unary('log', Math.log, floats([2, 3, 4], { low: 0.3, high: 4 })),
  sqrt: unary('sqrt', Math.sqrt, floats([2, 3, 4], { low: 0.3, high: 4 })),
  rsqrt: unary('rsqrt', x => 1 / Math.sqrt(x), floats([2, 3, 4], { low: 0.4, high: 4 })),
  square: unary('square', x => x * x),
  reciprocal: unary('reciprocal', x => 1 / x, floats([2, 3, 4], { low: 0.5, high: 2 })),
  tanh: unary('tanh', Math.tanh, floats([2, 3, 4], { low: -3, high: 3 })),
  sigmoid: unary('sigmoid', x => 1 / (1 + Math.exp(-x)), floats([2, 3, 4], { low: -6, high: 6 })),
  erf: [
    ...unary('erf', erf, floats([2, 3, 4], { low: -2.5, high: 2.5 })),
    {
      title: 'erf near 0 and in its tails, to 4 units in the last place',
      feeds: { x: floatsOf([8], [1e-6, -1e-4, 0.01, 3, -3.5, 4, -10, 0]) },
      // Divided by x for small x, so that a relative error is visible.
      build: (graph, { x }) => ({ y: graph.div(graph.erf(x), graph.maximum(graph.minimum(graph.abs(x), 1), 1e-6)) }),
      expected: ({ x = [] }) => x.map(v => erf(v) / Math.max(Math.min(Math.abs(v), 1), Math.fround(1e-6))),
      tolerance: 5e-7,
    },
  ],
  relu: unary('relu', x => Math.max(x, 0), awayFromZero([2, 3, 4])),
  sin: unary('sin', Math.sin, floats([2, 3, 4], { low: -6, high: 6 })),
  cos: unary('cos', Math.cos, floats([2, 3, 4], { low: -6, high: 6 })),
  add: [...binary('add', (a, b) => a + b), integers('add', (a, b) => a + b)],
  sub: [...binary('sub', (a, b) => a - b), integers('sub', (a, b) => a - b)],
  mul: [...binary('mul', (a, b) => a * b), integers('mul', (a, b) => a * b)],
  div: binary('div', (a, b) => a / b, anywhere, positive),
  maximum: [...binary('maximum', Math.max, onGrid), integers('maximum', Math.max), tie('maximum', [1, 0, 1], [0, 1, 0])],
  minimum: [...binary('minimum', Math.min, onGrid), integers('minimum', Math.min), tie('minimum', [1, 1, 0], [0, 0, 1])],
  equal: comparison('equal', (a, b) => a === b),
  less: comparison('less', (a, b) => a < b),
  greaterEqual: comparison('greaterEqual', (a, b) => a >= b),
  logicalAnd: [
    {
      title: 'logicalAnd, broadcast',
      feeds: { a: bools([2, 2], [1, 0, 1, 1]), b: bools([2], [1, 0]) },
      build: (graph, { a, b }) => ({ y: graph.logicalAnd(a, b) }),
      expected: ({ a = [], b = [] }) => pointwise([2, 2], a, [2, 2], b, [2], (x, y) => x * y),
    },
  ],
  cast: casts(),
  select: [
    {
      title: 'select with three shapes',
      feeds: { c: bools([3], [1, 0, 1]), a: floats([2, 3], { seed: 2 }), b: floats([2, 1], { seed: 5 }) },
      build: (graph, { c, a, b }) => ({ y: graph.select(c, a, b) }),
      expected: ({ c = [], a = [], b = [] }) => a.map((x, i) => (c[i % 3] ? x : (b[Math.floor(i / 3)] as number))),
      gradients: whole('a', 'b'),
    },
    {
      title: 'select of int32 by a scalar condition',
      feeds: { c: bools([], [0]), a: ints([2], [1, 2]), b: ints([2], [-3, 4]) },
      build: (graph, { c, a, b }) => ({ y: graph.select(c, a, b) }),
      expected: ({ b = [] }) => b,
    },
  ],
  sigmoidGrad: [
    {
      title: 'sigmoidGrad',
      feeds: { y: floats([2, 3], { low: 0.1, high: 0.9 }), dy: floats([2, 3], { seed: 4 }) },
      build: (graph, { y, dy }) => ({ y: graph.node('sigmoidGrad', [y, dy], {}) }),
      expected: ({ y = [], dy = [] }) => y.map((v, i) => (dy[i] as number) * v * (1 - v)),
      gradients: whole('y', 'dy'),
    },
  ],
};
