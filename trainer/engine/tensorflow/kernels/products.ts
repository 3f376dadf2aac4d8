/** The matrix product. */

import type { Node } from '../../../graph/node-store.ts';
import { elementCount } from '../../../graph/types.ts';
import { elementAt } from '../../../narrow.ts';
import { operationThreads } from '../environment.ts';
import { inputAt, type LoweringTable } from '../lowering.ts';
import { attr } from '../node-def.ts';

/**
 * On several cores products of float32 are those of `native/kernels/product.cc`: SmolLM2's step takes 5% less with SPSFT and 8% less with LoRA
 * than with oneDNN's, whose threads sleep between two products and get no share of small ones. On one core oneDNN's are 8% faster.
 */
const isOurs = ({ dtype, shape }: Node): boolean => dtype === 'float32' && operationThreads() > 1 && elementAt(shape, -2) >= WORTH_PACKING;

/** Fewer rows are not worth packing the other matrix for. */
const WORTH_PACKING = 4;

/**
 * With other types, TensorFlow gives all of a MatMul to one core if its three matrices fit that core's second-level cache, of 2 MB and more on
 * recent processors; a BatchMatMulV2 is split at any size, which pays from so many multiplications on.
 */
const WORTH_SPLITTING = 3e7;
const CACHE_BYTES = 2.2e6;

export const productLowerings = {
  matmul: ({ emitter, inputs, node, attrs: { transposeA, transposeB }, hasProducts }) => {
    if (hasProducts && isOurs(node))
      return emitter.emit('RowtuneProduct', inputs, { transpose_a: attr.bool(transposeA), transpose_b: attr.bool(transposeB) });
    const T = attr.type(node.dtype);
    const [x, y] = [inputAt({ node }, 0), inputAt({ node }, 1)];
    const inner = elementAt(x.shape, transposeA ? -2 : -1);
    const bytes = 4 * [x, y, node].reduce((sum, { shape }) => sum + elementCount(shape), 0);
    const isSplit = operationThreads() > 1 && bytes < CACHE_BYTES && inner * elementCount(node.shape) >= WORTH_SPLITTING;
    return node.shape.length === 2 && !isSplit
      ? emitter.emit('MatMul', inputs, { T, transpose_a: attr.bool(transposeA), transpose_b: attr.bool(transposeB) })
      : emitter.emit('BatchMatMulV2', inputs, { T, adj_x: attr.bool(transposeA), adj_y: attr.bool(transposeB) });
  },
} satisfies Partial<LoweringTable>;
