/** The nodes that read each node of a schedule. */
import type { Node } from './graph.ts';

/** Returns the nodes that read a node, each once. */
export type ReadersOf = (node: Node) => readonly Node[];

export function readersIn(schedule: readonly Node[]): ReadersOf {
  const readers = new Map<Node, Node[]>();
  for (const node of schedule)
    for (const input of new Set(node.inputs)) {
      const known = readers.get(input);
      if (known) known.push(node);
      else readers.set(input, [node]);
    }
  return node => readers.get(node) ?? [];
}
