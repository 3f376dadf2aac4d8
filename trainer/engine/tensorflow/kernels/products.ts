/** The matrix product. */
import type { LoweringTable } from '../lowering.ts';
import { attr } from '../node-def.ts';

export const productLowerings = {
  matmul: ({ emitter, inputs, node, attrs: { transposeA, transposeB } }) =>
    node.shape.length === 2
      ? emitter.emit('MatMul', inputs, { T: attr.type(node.dtype), transpose_a: attr.bool(transposeA), transpose_b: attr.bool(transposeB) })
      : emitter.emit('BatchMatMulV2', inputs, { T: attr.type(node.dtype), adj_x: attr.bool(transposeA), adj_y: attr.bool(transposeB) }),
} satisfies Partial<LoweringTable>;
