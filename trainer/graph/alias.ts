/** Finds the values that share the buffer of a variable, and checks that none of them is read after the variable has changed. */
import type { Node } from './graph.ts';
import { inputsOf, isOp } from './node-store.ts';
import { ruleOf } from './op-table.ts';
import { GraphError } from './types.ts';

/** Returns the variables that an effect changes. */
export function writtenVariables(node: Node): readonly string[] {
  if (node.op === 'read' || !('variable' in node.attrs)) return [];
  const { variable } = node.attrs;
  if (!isOp(node, 'adam')) return [variable];
  const { m, v } = node.attrs;
  return [variable, m, v];
}

/** Returns true for the first rows of a variable: they are contiguous, so engines need no copy of them. */
export function isStartOfVariable(node: Node): boolean {
  if (!isOp(node, 'slice')) return false;
  const { begin, size } = node.attrs;
  const [input] = inputsOf(node, 1);
  return input.op === 'read' && begin.every(at => at === 0) && input.shape.every((whole, axis) => axis === 0 || whole === size[axis]);
}

/** Returns the node whose buffer this value occupies: the node itself, unless it is a view. */
export function bufferOf(node: Node): Node {
  const [input] = node.inputs;
  return input && (ruleOf(node.op).buffer === 'view' || isStartOfVariable(node)) ? bufferOf(input) : node;
}

/** Returns the read whose buffer this value occupies; undefined if the value has a buffer of its own. */
export function aliasedRead(node: Node): Node<'read'> | undefined {
  const owner = bufferOf(node);
  return isOp(owner, 'read') ? owner : undefined;
}

/**
 * Checks that no value read before an update is used after it. Engines update in place, so such a value would be the old one on one engine
 * and the new one on another. (The outputs of a signature are safe: engines copy them.)
 * @throws GraphError that names the variable and the operation
 */
export function checkAliases(signature: string, schedule: readonly Node[]): void {
  const writtenAt = new Map<string, number>();
  schedule.forEach((node, at) => {
    for (const input of node.inputs) {
      const read = aliasedRead(input);
      // Node ids follow the order of the schedule.
      if (read && (writtenAt.get(read.attrs.variable) ?? -1) > read.id)
        throw new GraphError(
          `${signature}: ${node.op} (node ${node.id}, place ${at}) uses ${read.attrs.variable} as it was read before an update; read it again with another version, or use it earlier`,
        );
    }
    for (const variable of writtenVariables(node)) writtenAt.set(variable, node.id);
  });
}
