/** Cases of the operations that change a variable. */
import { type CaseTable, floats, floatsOf, ints } from '../operation-case.ts';

const RATES = { beta1: 0.9, beta2: 0.999 };
/** Large, to show where it appears in the formula. */
const EPSILON = 0.05;
const STEP = 3;

export const effectCases: Pick<CaseTable, 'assign' | 'assignAdd' | 'updateRows' | 'updateElements' | 'updateColumns' | 'adam' | 'group'> = {
  assign: [
    {
      title: 'assign',
      feeds: { x: floats([2, 2]) },
      variables: { w: floatsOf([2, 2], [1, 2, 3, 4]) },
      build: (graph, { x }) => ({ effects: [graph.assign('w', x)] }),
      expectedVariables: ({ x = [] }) => ({ w: x }),
    },
    {
      title: 'assign of one variable to another',
      variables: { v: floatsOf([2], [5, 6]), w: floatsOf([2], [1, 2]) },
      build: graph => ({ effects: [graph.assign('w', graph.read({ name: 'v', shape: [2], dtype: 'float32' }))] }),
      expectedVariables: () => ({ v: [5, 6], w: [5, 6] }),
    },
  ],
  assignAdd: [
    {
      title: 'assignAdd, read again after it',
      feeds: { x: floatsOf([2], [0.5, -1]) },
      variables: { w: floatsOf([2], [1, 2]) },
      build: (graph, { x }) => ({ effects: [graph.assignAdd('w', x)] }),
      expectedVariables: () => ({ w: [1.5, 1] }),
    },
  ],
  updateRows: [
    {
      title: 'updateRows of a matrix',
      feeds: { rows: ints([2], [3, 1]), x: floats([2, 3]) },
      variables: { w: floats([4, 3], { seed: 8 }) },
      build: (graph, { rows, x }) => ({ effects: [graph.updateRows('w', rows, x)] }),
      expectedVariables: ({ w = [], x = [] }) => ({ w: [...w.slice(0, 3), ...x.slice(3, 6), ...w.slice(6, 9), ...x.slice(0, 3)] }),
    },
    {
      title: 'updateRows of a vector',
      feeds: { rows: ints([2], [0, 2]), x: floatsOf([2], [7, 8]) },
      variables: { w: floatsOf([3], [1, 2, 3]) },
      build: (graph, { rows, x }) => ({ effects: [graph.updateRows('w', rows, x)] }),
      expectedVariables: () => ({ w: [7, 2, 8] }),
    },
    {
      title: 'updateRows of filters',
      feeds: { rows: ints([1], [1]), x: floats([1, 2, 1, 2]) },
      variables: { w: floats([2, 2, 1, 2], { seed: 8 }) },
      build: (graph, { rows, x }) => ({ effects: [graph.updateRows('w', rows, x)] }),
      expectedVariables: ({ w = [], x = [] }) => ({ w: [...w.slice(0, 4), ...x] }),
    },
  ],
  updateElements: [
    {
      title: 'updateElements of a matrix',
      feeds: { at: ints([3], [0, 4, 5]), x: floatsOf([3], [7, 8, 9]) },
      variables: { w: floatsOf([2, 3], [1, 2, 3, 4, 5, 6]) },
      build: (graph, { at, x }) => ({ effects: [graph.updateElements('w', at, x)] }),
      expectedVariables: () => ({ w: [7, 2, 3, 4, 8, 9] }),
    },
  ],
  updateColumns: [
    {
      title: 'updateColumns of a matrix',
      feeds: { at: ints([2], [3, 1]), x: floats([3, 2]) },
      variables: { w: floats([3, 4], { seed: 8 }) },
      build: (graph, { at, x }) => ({ effects: [graph.updateColumns('w', 4, at, x)] }),
      expectedVariables: ({ w = [], x = [] }) => ({
        w: [0, 1, 2].flatMap(row => [w[4 * row] ?? 0, x[2 * row + 1] ?? 0, w[4 * row + 2] ?? 0, x[2 * row] ?? 0]),
      }),
    },
  ],
  adam: [
    {
      title: 'adam',
      feeds: {
        g: floats([2, 3], { seed: 3 }),
        rate: floatsOf([], [0.01]),
        beta1Power: floatsOf([], [RATES.beta1 ** STEP]),
        beta2Power: floatsOf([], [RATES.beta2 ** STEP]),
        epsilon: floatsOf([], [EPSILON]),
      },
      variables: { w: floats([2, 3], { seed: 5 }), m: floats([2, 3], { seed: 6 }), v: floats([2, 3], { low: 0.01, high: 1, seed: 7 }) },
      build: (graph, { g, rate, beta1Power, beta2Power, epsilon }) => ({
        effects: [graph.node('adam', [g, rate, beta1Power, beta2Power, epsilon], { ...RATES, variable: 'w', m: 'm', v: 'v' })],
      }),
      expectedVariables: ({ g = [], w = [], m = [], v = [] }) => {
        const fresh = g.map((x, i) => ({
          m: RATES.beta1 * (m[i] as number) + (1 - RATES.beta1) * x,
          v: RATES.beta2 * (v[i] as number) + (1 - RATES.beta2) * x * x,
        }));
        const rate = (0.01 * Math.sqrt(1 - RATES.beta2 ** STEP)) / (1 - RATES.beta1 ** STEP);
        return {
          w: w.map((x, i) => x - (rate * (fresh[i]?.m ?? 0)) / (Math.sqrt(fresh[i]?.v ?? 0) + EPSILON)),
          m: fresh.map(state => state.m),
          v: fresh.map(state => state.v),
        };
      },
      tolerance: 2e-5,
    },
  ],
  group: [
    {
      title: 'group waits for its effects',
      feeds: { x: floatsOf([1], [2]) },
      variables: { a: floatsOf([1], [1]), b: floatsOf([1], [1]) },
      build: (graph, { x }) => ({ effects: [graph.group([graph.assign('a', x), graph.assignAdd('b', x)])] }),
      expectedVariables: () => ({ a: [2], b: [3] }),
    },
  ],
};
