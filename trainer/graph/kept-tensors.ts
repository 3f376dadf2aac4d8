/** The tensors that a program must keep for the backward pass exactly as the graph says. */
import { bufferOf } from './alias.ts';
import { isBackward, type Node } from './node-store.ts';

/**
 * Returns the tensors that the backward pass reads and that the graph marks as kept. Of recomputed tensors, only sums with a product are
 * included: a compiler would hold both products instead of their sum until every reader has run.
 */
export function keptTensors(schedule: readonly Node[]): ReadonlySet<Node> {
  const readBackward = schedule.filter(isBackward).flatMap(({ inputs }) => inputs.map(bufferOf));
  return new Set(readBackward.filter(node => node.kept === true && (!isBackward(node) || (node.recomputed && addsProduct(node)))));
}

/** Returns true for a sum with a product, ignoring casts. */
function addsProduct(node: Node): boolean {
  const sum = uncast(node);
  return sum?.op === 'add' && sum.inputs.some(input => uncast(input)?.op === 'matmul');
}

const uncast = (node: Node): Node | undefined => (node.op === 'cast' ? node.inputs[0] : node);
