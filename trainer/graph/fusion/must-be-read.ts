/** Why a program cannot be built as it was asked for. */
import type { Node } from '../graph.ts';

/** This node cannot be computed inside the program: it has to be there before. */
export class MustBeRead extends Error {
  override name = 'MustBeRead';
  readonly node: Node;

  constructor(node: Node) {
    super(`${node.op} (node ${node.id})`);
    this.node = node;
  }
}
