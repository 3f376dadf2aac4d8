/**
 * Cases of the operations that create tensors. Random values are compared between engines only if a case says so, and otherwise with
 * themselves.
 */
import type { Node } from '../../../../trainer/graph/graph.ts';
import { type CaseTable, floats, floatsOf, ints } from '../operation-case.ts';

export const sourceCases: Pick<CaseTable, 'feed' | 'constant' | 'read' | 'randomMask'> = {
  feed: [
    { title: 'feed', feeds: { x: floats([2, 3]) }, build: (_, { x }) => ({ y: x }), expected: ({ x = [] }) => x },
    { title: 'feed of int32', feeds: { x: ints([2], [7, -7]) }, build: (_, { x }) => ({ y: x }), expected: () => [7, -7] },
    { title: 'feed of int8', feeds: { x: ints([2], [127, -128], 'int8') }, build: (_, { x }) => ({ y: x }), expected: () => [127, -128] },
    { title: 'feed of uint8', feeds: { x: ints([2], [0, 255], 'uint8') }, build: (_, { x }) => ({ y: x }), expected: () => [0, 255] },
  ],
  constant: [
    {
      title: 'constant',
      build: graph => ({ y: graph.constant(Float32Array.of(1, 2, 3, 4), [2, 2], 'float32') }),
      expected: () => [1, 2, 3, 4],
    },
    { title: 'constant scalar int32', build: graph => ({ y: graph.scalar(-5, 'int32') }), expected: () => [-5] },
  ],
  read: [
    {
      title: 'read gives the value before a later write',
      variables: { w: floatsOf([2], [1, 2]) },
      build: graph => {
        const y = graph.add(graph.read({ name: 'w', shape: [2], dtype: 'float32' }), 1);
        return { y, effects: [graph.assign('w', graph.mul(y, 10))] };
      },
      expected: () => [2, 3],
      expectedVariables: () => ({ w: [20, 30] }),
    },
  ],
  randomMask: [
    {
      title: 'randomMask is the same for the same seed, and another for another',
      feeds: { seed: ints([2], [12, 34]) },
      build: (graph, { seed }) => {
        const first = graph.randomMask(seed, [5, 101], 0.5);
        const again = graph.randomMask(graph.add(seed, 0), [5, 101], 0.5);
        const other = graph.randomMask(graph.add(seed, 1), [5, 101], 0.5);
        const differing = (a: Node, b: Node) => graph.sumAll(graph.abs(graph.sub(graph.cast(a, 'float32'), graph.cast(b, 'float32'))));
        return {
          y: graph.concat(
            [differing(first, again), graph.minimum(differing(first, other), 100)].map(n => graph.reshape(n, [1])),
            0,
          ),
        };
      },
      expected: () => [0, 100],
    },
    {
      title: 'randomMask of the second of two processes is the second half of the whole',
      feeds: { seed: ints([2], [12, 34]) },
      build: (graph, { seed }) => {
        const whole = graph.randomMask(seed, [10, 7], 0.5);
        const half = graph.node('randomMask', [seed], { shape: [5, 7], ones: 2 ** 15, skip: 35 });
        const numbers = (mask: Node) => graph.cast(mask, 'float32');
        return { y: graph.sub(graph.sliceAxis(numbers(whole), 0, 5, 5), numbers(half)) };
      },
      expected: () => new Array(35).fill(0),
    },
    {
      title: 'randomMask has about its share',
      feeds: { seed: ints([2], [5, 6]) },
      build: (graph, { seed }) => {
        const share = (wanted: number) => graph.mean(graph.cast(graph.randomMask(seed, [200, 100], wanted), 'float32'), [0, 1]);
        const near = (wanted: number) => graph.cast(graph.less(graph.abs(graph.sub(share(wanted), wanted)), 0.01), 'float32');
        return {
          y: graph.concat(
            [0.9, 0.25, 0.5].map(wanted => graph.reshape(near(wanted), [1])),
            0,
          ),
        };
      },
      expected: () => [1, 1, 1],
    },
  ],
};
