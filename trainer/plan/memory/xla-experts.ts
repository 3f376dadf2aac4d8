/** Models the memory of XLA's loops over blocks of assignments to experts (`engine/pjrt/kernels/experts.ts`). */
import type { Node } from '../../graph/graph.ts';
import { inputsOf, isOp } from '../../graph/node-store.ts';
import { byteSize, dimensions } from '../../graph/types.ts';
import { elementAt } from '../../narrow.ts';

/** Sums of blocks are kept in float32. */
const SUM_BYTES = 4;

/**
 * Returns the bytes that a product by experts takes while it runs: a copy of one expert's matrix, which XLA takes out of the stack before it
 * multiplies by it. The gradients of all matrices take the sum of one and the product that is added to it.
 */
export function expertLoopBytes(node: Node): number {
  if (isOp(node, 'expertProduct')) return byteSize(elementAt(node.inputs, 1)) / node.attrs.experts;
  if (!isOp(node, 'expertGradient') || node.inputs.length > 3) return 0;
  const [a, b] = inputsOf(node, 3);
  return 2 * SUM_BYTES * dimensions(a.shape, 2)[1] * dimensions(b.shape, 2)[1];
}
