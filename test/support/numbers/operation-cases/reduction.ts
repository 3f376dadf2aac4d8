/** Cases of the reductions. */
import { addUp, reduceOver } from '../naive.ts';
import { bools, type CaseTable, floats, floatsOf, ints, type OperationCase, whole } from '../operation-case.ts';

const AXES: readonly (readonly [axes: number[], resolved: number[], keepDims: boolean])[] = [
  [[-1], [2], false],
  [[0], [0], true],
  [[1], [1], false],
  [[0, -1], [0, 2], true],
  [[0, 1, 2], [0, 1, 2], false],
];

const reductions = (op: 'sum' | 'max', fold: (parts: number[]) => number): OperationCase[] =>
  AXES.map(([axes, resolved, keepDims]) => ({
    title: `${op} over [${axes}]${keepDims ? ', dimensions kept' : ''}`,
    feeds: { x: floats([2, 3, 4]) },
    build: (graph, { x }) => ({ y: graph[op](x, axes, keepDims) }),
    expected: ({ x = [] }) => reduceOver(x, [2, 3, 4], resolved, fold),
    gradients: whole('x'),
  }));

const softmax = (row: readonly number[]): number[] => {
  const exps = row.map(x => Math.exp(x - Math.max(...row)));
  return exps.map(e => e / addUp(exps));
};

const rowsOf = (x: readonly number[], width: number): number[][] =>
  Array.from({ length: x.length / width }, (_, i) => x.slice(i * width, (i + 1) * width));

export const reductionCases: Pick<CaseTable, 'sum' | 'max' | 'argmax' | 'softmax'> = {
  sum: [
    ...reductions('sum', addUp),
    {
      title: 'sum of int32',
      feeds: { x: ints([2, 2], [1, 2, 3, -10]) },
      build: (graph, { x }) => ({ y: graph.sum(x, [0]) }),
      expected: () => [4, -8],
    },
    {
      title: 'sum of a mask made float',
      feeds: { x: bools([4], [1, 0, 1, 1]) },
      build: (graph, { x }) => ({ y: graph.sumAll(graph.cast(x, 'float32')) }),
      expected: () => [3],
    },
  ],
  max: [
    ...reductions('max', parts => Math.max(...parts)),
    {
      title: 'max with ties shares the gradient',
      feeds: { x: floatsOf([2, 3], [1, 1, 0, 2, 2, 2]) },
      build: (graph, { x }) => ({ y: graph.max(x, [-1]) }),
      expected: () => [1, 2],
      expectedGradients: { x: [0.5, 0.5, 0, 1 / 3, 1 / 3, 1 / 3] },
    },
  ],
  argmax: [
    {
      title: 'argmax over the last axis takes the first of equals',
      feeds: { x: floatsOf([2, 3], [1, 3, 3, 5, -1, 2]) },
      build: (graph, { x }) => ({ y: graph.argmax(x, -1) }),
      expected: () => [1, 0],
    },
    {
      title: 'argmax over the first axis',
      feeds: { x: floatsOf([2, 3], [1, 3, 2, 5, -1, 4]) },
      build: (graph, { x }) => ({ y: graph.argmax(x, 0) }),
      expected: () => [1, 0, 1],
    },
  ],
  softmax: [
    {
      title: 'softmax',
      feeds: { x: floats([2, 3, 5], { low: -3, high: 3 }) },
      build: (graph, { x }) => ({ y: graph.softmax(x) }),
      expected: ({ x = [] }) => rowsOf(x, 5).flatMap(softmax),
      gradients: whole('x'),
    },
    {
      title: 'softmax of large and masked numbers',
      feeds: { x: floatsOf([2, 3], [1000, 999, -1e9, -1e9, -1e9, -1e9]) },
      build: (graph, { x }) => ({ y: graph.softmax(x) }),
      expected: ({ x = [] }) => rowsOf(x, 3).flatMap(softmax),
    },
  ],
};
