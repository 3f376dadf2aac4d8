/** The tensors that a program holds for the backward pass in the form that the graph says. */
import { bufferOf } from './alias.ts';
import { isBackward, type Node } from './node-store.ts';

/**
 * Returns the tensors that the backward pass reads and that the graph marks as those to keep. Of what is computed again, these are the sums of two
 * products: a compiler would hold both products in place of their sum, for all that read it.
 */
export function keptTensors(schedule: readonly Node[]): ReadonlySet<Node> {
  const readBackward = schedule.filter(isBackward).flatMap(({ inputs }) => inputs.map(bufferOf));
  return new Set(readBackward.filter(node => node.kept === true && (!isBackward(node) || (node.recomputed && addsProduct(node)))));
}

/** Whether it is a sum with a product, in another element type or the sum's own. */
function addsProduct(node: Node): boolean {
  const sum = uncast(node);
  return sum?.op === 'add' && sum.inputs.some(input => uncast(input)?.op === 'matmul');
}

const uncast = (node: Node): Node | undefined => (node.op === 'cast' ? node.inputs[0] : node);
