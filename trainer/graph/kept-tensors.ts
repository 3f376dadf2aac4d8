/** The tensors that a program must keep in memory exactly as the graph says. */
import { bufferOf } from './alias.ts';
import type { OpName } from './attributes.ts';
import { isBackward, type Node } from './node-store.ts';
import { byteSize } from './types.ts';

/**
 * Returns the tensors that the backward pass reads and that the graph marks as kept, and gradients that are {@link gathered}. Of recomputed
 * tensors, only sums with a product are included: a compiler would hold both products instead of their sum until every reader has run.
 */
export function keptTensors(schedule: readonly Node[]): ReadonlySet<Node> {
  const readBackward = schedule.filter(isBackward).flatMap(({ inputs }) => inputs.map(keptForm));
  const marked = readBackward.filter(node => node.kept === true && (!isBackward(node) || (node.recomputed && addsProduct(node))));
  return new Set([...marked, ...gathered(schedule)]);
}

/**
 * Returns the gradients that a product reads whole and a gather in part, as for sparse rows. The product needs a buffer, but a compiler would
 * compute the gathered part from the inputs of the gradient, and hold all of them until then. A gradient that is itself a product is computed
 * once.
 */
function gathered(schedule: readonly Node[]): readonly Node[] {
  const readers = new Map<Node, Set<OpName>>();
  for (const node of schedule)
    for (const input of node.inputs.map(bufferOf)) readers.set(input, (readers.get(input) ?? new Set()).add(node.op));
  const isRead = (node: Node, by: OpName): boolean => readers.get(node)?.has(by) ?? false;
  const isGradient = (node: Node): boolean => isBackward(node) && !node.recomputed && bufferOf(node) === node && node.op !== 'matmul';
  return schedule.filter(node => isGradient(node) && isRead(node, 'gather') && isRead(node, 'matmul'));
}

/** Returns true for a sum with a product, ignoring casts. */
function addsProduct(node: Node): boolean {
  const sum = uncast(node);
  return sum?.op === 'add' && sum.inputs.some(input => uncast(input)?.op === 'matmul');
}

/** Returns the tensor whose buffer a value is read from: without views, and without a widening cast of a kept tensor. */
function keptForm(node: Node): Node {
  const owner = bufferOf(node);
  const [input] = owner.inputs;
  return owner.op === 'cast' && input?.kept === true && byteSize(input) < byteSize(owner) ? input : owner;
}

const uncast = (node: Node): Node | undefined => (node.op === 'cast' ? node.inputs[0] : node);
