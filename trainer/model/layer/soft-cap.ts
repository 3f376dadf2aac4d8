/** Soft caps: keep values smoothly within ±cap (Bello et al. 2016; Gemma 2). */
import type { Graph, Node } from '../../graph/graph.ts';

export interface SoftCap {
  /** cap · tanh(x / cap). */
  readonly y: Node;
  /** dy/dx = 1 − tanh²(x / cap). @param value returns a node's value in the backward pass */
  readonly slope: (value: (node: Node) => Node) => Node;
}

export function softCap(graph: Graph, x: Node, cap: number): SoftCap {
  const bent = graph.tanh(graph.mul(x, 1 / cap));
  return { y: graph.mul(bent, cap), slope: value => graph.sub(graph.scalar(1), graph.square(value(bent))) };
}
