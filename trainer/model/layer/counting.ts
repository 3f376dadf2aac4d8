/** Consecutive integers, for positions and for rows of a table. */
import type { Graph, Node } from '../../graph/graph.ts';

/** The integers `first` … `first + count − 1`, int32 [count]. */
export const counting = (graph: Graph, first: number, count: number): Node =>
  graph.constant(
    Int32Array.from({ length: count }, (_, i) => first + i),
    [count],
    'int32',
  );
