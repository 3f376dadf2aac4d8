/** Cases of the operations that bring tensors in. Random numbers are compared between engines only where one says so; here with themselves. */
import type { Node } from '../../../trainer/graph/graph.ts';
import { floats, floatsOf, ints } from '../operation-case.ts';
import type { CaseTable } from '../operation-table.ts';

export const sourceCases: Pick<CaseTable, 'feed' | 'constant' | 'read' | 'randomUniform'> = {
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
  randomUniform: [
    {
      title: 'randomUniform lies in [0, 1) and is the same for the same seed',
      feeds: { seed: ints([2], [12, 34]) },
      build: (graph, { seed }) => {
        const first = graph.randomUniform(seed as Node, [500]);
        const again = graph.randomUniform(graph.add(seed as Node, 0), [500]);
        const inside = graph.logicalAnd(graph.greaterEqual(first, 0), graph.less(first, 1));
        return { y: graph.cast(graph.logicalAnd(inside, graph.equal(first, again)), 'float32') };
      },
      expected: () => new Array<number>(500).fill(1),
    },
  ],
};
