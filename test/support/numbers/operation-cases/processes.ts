/** Cases of sums over processes, in a single process; those over several are in `test/boundary/processes.long.test.ts`. */
import { type CaseTable, floats, whole } from '../operation-case.ts';

export const processCases: Pick<CaseTable, 'beginSum' | 'endSum'> = {
  beginSum: [
    {
      title: 'beginSum over one process, with work before it is waited for',
      feeds: { x: floats([2, 3]) },
      build: (graph, { x }) => {
        const begun = graph.beginSum(graph.mul(x, 2), 'bfloat16');
        const other = graph.square(x);
        return { y: graph.add(graph.endSum(begun), other) };
      },
      expected: ({ x = [] }) => x.map(value => 2 * value + value * value),
      gradients: whole('x'),
    },
  ],
  endSum: [
    {
      title: 'endSum of a value that others read too',
      feeds: { x: floats([4]) },
      build: (graph, { x }) => ({ y: graph.sub(graph.endSum(graph.beginSum(x, 'float32')), x) }),
      expected: ({ x = [] }) => x.map(() => 0),
      gradients: whole('x'),
    },
  ],
};
