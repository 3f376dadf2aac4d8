/** Dropout (Srivastava et al. 2014) from a seed, so that a recomputed pass drops the same elements. */
import type { Graph, Node } from '../../graph/graph.ts';

export interface DropoutParams {
  /** Probability of dropping an element. */
  readonly rate: number;
  /** int32[2], new for each step. */
  readonly seed: Node;
  /** Tells apart the masks of one step. */
  readonly stream: number;
}

/** 0 with probability `rate`, else 1 / (1 − rate). */
export function dropoutMask(graph: Graph, shape: readonly number[], { rate, seed, stream }: DropoutParams): Node {
  const own = graph.add(seed, graph.constant(Int32Array.of(0, stream), [2], 'int32'));
  const kept = graph.cast(graph.greaterEqual(graph.randomUniform(own, shape), rate), 'float32');
  return graph.mul(kept, 1 / (1 - rate));
}

/** x with elements zeroed with probability `rate` and the others scaled by 1 / (1 − rate). */
export const dropout = (graph: Graph, x: Node, params: DropoutParams): Node => graph.mul(x, dropoutMask(graph, x.shape, params));
