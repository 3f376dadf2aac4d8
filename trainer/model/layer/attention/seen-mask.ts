/** The mask of queries that see the keys up to a place, which is known only at run time. */
import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { HIDDEN } from './attention.ts';

/** The bias [batch, tokens, keys] with which each query sees the keys up to a place. @param places int32 [batch, tokens] */
export function seenUpTo(graph: Graph, places: Node, keys: number): Node {
  const [batch, tokens] = dimensions(places.shape, 2);
  const isSeen = graph.greaterEqual(graph.reshape(places, [batch, tokens, 1]), graph.counting([1, 1, keys]));
  return graph.select(isSeen, graph.scalar(0), graph.scalar(HIDDEN));
}
