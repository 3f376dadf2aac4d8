/** The matrix product. */

import type { Node } from '../../../graph/node-store.ts';
import { elementCount } from '../../../graph/types.ts';
import { elementAt } from '../../../narrow.ts';
import { operationThreads } from '../environment.ts';
import { inputAt, type LoweringTable } from '../lowering.ts';
import { attr } from '../node-def.ts';

/**
 * Returns true if the product uses `native/kernels/product.cc`.
 *
 * float32 on several cores: SmolLM2's step takes 5% less time with SPSFT and 8% less with LoRA than with oneDNN, whose threads sleep between
 * products and get no share of small ones. On one core oneDNN is 8% faster.
 *
 * bfloat16 on a CPU without such instructions: TensorFlow copies all three matrices in float32, which for SmolLM2's head are 140 MB.
 */
const isOurs = ({ dtype, shape }: Node, hasNarrowKernels: boolean): boolean =>
  dtype === 'bfloat16' ? !hasNarrowKernels : dtype === 'float32' && operationThreads() > 1 && elementAt(shape, -2) >= WORTH_PACKING;

/** Minimum number of rows that makes packing the other matrix worthwhile. */
const WORTH_PACKING = 4;

/**
 * Conditions for splitting products of other types. TensorFlow runs a MatMul on a single core if its three matrices fit in that core's L2
 * cache, which has 2 MB and more on recent CPUs; a BatchMatMulV2 is split at any size, which pays off from this many multiplications on.
 */
const WORTH_SPLITTING = 3e7;
const CACHE_BYTES = 2.2e6;

export const productLowerings = {
  matmul: ({ emitter, inputs, node, attrs: { transposeA, transposeB }, hasProducts, hasNarrowKernels }) => {
    const T = attr.type(node.dtype);
    if (hasProducts && isOurs(node, hasNarrowKernels))
      return emitter.emit('RowtuneProduct', inputs, { T, transpose_a: attr.bool(transposeA), transpose_b: attr.bool(transposeB) });
    const [x, y] = [inputAt({ node }, 0), inputAt({ node }, 1)];
    const inner = elementAt(x.shape, transposeA ? -2 : -1);
    const bytes = 4 * [x, y, node].reduce((sum, { shape }) => sum + elementCount(shape), 0);
    const isSplit = operationThreads() > 1 && bytes < CACHE_BYTES && inner * elementCount(node.shape) >= WORTH_SPLITTING;
    return node.shape.length === 2 && !isSplit
      ? emitter.emit('MatMul', inputs, { T, transpose_a: attr.bool(transposeA), transpose_b: attr.bool(transposeB) })
      : emitter.emit('BatchMatMulV2', inputs, { T, adj_x: attr.bool(transposeA), adj_y: attr.bool(transposeB) });
  },
} satisfies Partial<LoweringTable>;
