/** Models the memory of XLA's loops over blocks of assignments to experts (`engine/pjrt/kernels/experts.ts`). */
import { blocksTogether } from '../../graph/expert-blocks.ts';
import type { Step } from '../../graph/fusion/step.ts';
import type { Node } from '../../graph/graph.ts';
import { inputsOf, isOp } from '../../graph/node-store.ts';
import { byteSize, bytesPerElement, dimensions, elementCount } from '../../graph/types.ts';
import { elementAt, lastOf } from '../../narrow.ts';

/** Bytes per element of the sums of blocks, which are kept in float32. */
const SUM_BYTES = 4;

/** Returns true for an operation that is a loop. Gradients of chosen rows are not: their fourth input is the rows. */
export const isExpertLoop = (node: Node): boolean =>
  isOp(node, 'expertProduct') || (isOp(node, 'expertGradient') && node.inputs.length <= 3);

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
  if (!isOp(node, 'expertGradient') || !isExpertLoop(node)) return 0;
  const [a, b] = inputsOf(node, 3);
  return 2 * SUM_BYTES * dimensions(a.shape, 2)[1] * dimensions(b.shape, 2)[1];
}

/**
 * Returns the bytes of the values that the gradient of chosen rows is summed from, [assignments, rows]: the gradients of an assignment's own
 * expert, and 0 for the rows of others.
 */
function rowPartBytes(node: Node): number {
  if (!isOp(node, 'expertGradient')) return 0;
  const [, , ids, rows] = node.inputs;
  return ids && rows ? bytesPerElement(node.dtype) * elementCount(ids.shape) * elementCount(rows.shape) : 0;
}

/**
 * Returns the steps with the values that gradients of chosen rows are summed from. One kernel computes those of equally large gradients for the
 * same assignments, such as those of gate and up (XLA's pass `MultiOutputFusion`). It runs in place of the last of them, so whatever the others
 * read is alive until then.
 */
export function withRowParts(steps: readonly Step[]): Step[] {
  const kernels = new Map<string, number[]>();
  for (const [i, { nodes }] of steps.entries())
    for (const node of nodes.filter(each => rowPartBytes(each) > 0)) {
      const [a, , ids] = node.inputs;
      const key = `${ids?.id} ${a?.shape} ${node.shape[0]}`;
      kernels.set(key, [...(kernels.get(key) ?? []), i]);
    }
  const membersAt = new Map([...kernels.values()].map(members => [lastOf(members), members.map(at => elementAt(steps, at))]));
  return steps.map((step, i) => {
    const members = membersAt.get(i);
    if (!members) return step;
    const heldBytes = members.reduce((sum, { nodes }) => sum + nodes.reduce((own, node) => own + rowPartBytes(node), 0), 0);
    return { ...step, reads: [...new Set(members.flatMap(({ reads }) => reads))], heldBytes };
  });
}
