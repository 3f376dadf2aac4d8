/** Models the memory of XLA's loops over blocks of assignments to experts (`engine/pjrt/kernels/experts.ts`). */
import { blocksTogether } from '../../graph/expert-blocks.ts';
import type { Node } from '../../graph/graph.ts';
import { inputsOf, isOp } from '../../graph/node-store.ts';
import { byteSize, dimensions, elementCount } from '../../graph/types.ts';

/** Bytes per element of the sums of blocks, which are kept in float32. */
const SUM_BYTES = 4;

/**
 * Returns the bytes that a product by experts takes while it runs: copies of the matrices that one loop iteration multiplies by, which XLA
 * slices out of the stack, plus the rows and products of that iteration. The gradients of all matrices take the running sum of one matrix
 * and the product that is added to it.
 */
export function expertLoopBytes(node: Node): number {
  if (isOp(node, 'expertProduct')) {
    const { experts } = node.attrs;
    const [, w, ids] = inputsOf(node, 3);
    const [stacked, width] = dimensions(w.shape, 2);
    const { held } = blocksTogether({ n: elementCount(ids.shape), experts, width, out: stacked / experts });
    return (held * byteSize(w)) / elementCount(w.shape);
  }
  if (!isOp(node, 'expertGradient') || node.inputs.length > 3) return 0;
  const [a, b] = inputsOf(node, 3);
  return 2 * SUM_BYTES * dimensions(a.shape, 2)[1] * dimensions(b.shape, 2)[1];
}
