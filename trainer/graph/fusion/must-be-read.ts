/** The reason why a program cannot be built as requested. */
import type { Node } from '../graph.ts';

/** Thrown if a node cannot be computed inside the program: it has to exist before the program runs. */
export class NotComputableError extends Error {
  override name = 'NotComputableError';
  readonly node: Node;

  constructor(node: Node) {
    super(`${node.op} (node ${node.id})`);
    this.node = node;
  }
}
