/** The matrix product. */
import { elementCount } from '../../../graph/types.ts';
import { operationThreads } from '../environment.ts';
import { inputAt, type LoweringTable } from '../lowering.ts';
import { attr } from '../node-def.ts';

/**
 * TensorFlow gives all of a MatMul to one core where its three matrices fit that core's second-level cache, of 2 MB and more on recent
 * processors; a BatchMatMulV2 is split at any size, and pays that from so many multiplications on: 86 → 53 ms for the key and value
 * projections of SmolLM2 on two cores, but 82 → 88 ms on one, and 40 → 63 ms for those of rank 16 on two.
 */
const WORTH_SPLITTING = 3e7;
const CACHE_BYTES = 2.2e6;

export const productLowerings = {
  matmul: ({ emitter, inputs, node, attrs: { transposeA, transposeB } }) => {
    const T = attr.type(node.dtype);
    const [x, y] = [inputAt({ node }, 0), inputAt({ node }, 1)];
    const inner = x.shape.at(transposeA ? -2 : -1) as number;
    const bytes = 4 * [x, y, node].reduce((sum, { shape }) => sum + elementCount(shape), 0);
    const isSplit = operationThreads() > 1 && bytes < CACHE_BYTES && inner * elementCount(node.shape) >= WORTH_SPLITTING;
    return node.shape.length === 2 && !isSplit
      ? emitter.emit('MatMul', inputs, { T, transpose_a: attr.bool(transposeA), transpose_b: attr.bool(transposeB) })
      : emitter.emit('BatchMatMulV2', inputs, { T, adj_x: attr.bool(transposeA), adj_y: attr.bool(transposeB) });
  },
} satisfies Partial<LoweringTable>;
