/** A graph for which a step once returned one value in place of another, to test its plan and its results. */
import type { Graph } from '../../../trainer/graph/graph.ts';

/** A moved product, and values computed from the product that are moved, too. */
export const movedNextTo = (columns: number) => (graph: Graph) => {
  const x = graph.matmul(graph.feed('p', [2, 3, 8]), graph.feed('q', [2, 8, columns]));
  const b = graph.transpose(x, [1, 0, 2]);
  const a = graph.tanh(x);
  const c = graph.square(graph.transpose(a, [1, 0, 2]));
  return { b, c, d: graph.matmul(a, graph.feed('r', [2, columns, 4])) };
};
