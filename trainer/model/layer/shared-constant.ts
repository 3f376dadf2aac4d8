/** Constants that all layers of a graph share. */
import type { Graph, Node } from '../../graph/graph.ts';

const shared = new WeakMap<Graph, Map<string, Node>>();

/** One constant for all layers of a graph. @param key identifies its contents */
export function sharedConstant(graph: Graph, key: string, shape: readonly number[], fill: () => Float32Array): Node {
  const known = shared.get(graph) ?? new Map<string, Node>();
  shared.set(graph, known);
  const found = known.get(key) ?? graph.lazyConstant(shape, fill);
  known.set(key, found);
  return found;
}
