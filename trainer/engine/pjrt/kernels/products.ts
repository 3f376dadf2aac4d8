/** The matrix product. */
import { type LoweringTable, two } from '../lowering.ts';

export const productLowerings: Pick<LoweringTable, 'matmul'> = {
  matmul: ({ emitter, inputs, attrs: { transposeA, transposeB } }) => {
    const [a, b] = two(inputs);
    const rank = a.shape.length;
    return emitter.dot(a, b, {
      batch: Array.from({ length: rank - 2 }, (_, i) => [i, i] as const),
      contracted: [transposeA ? rank - 2 : rank - 1, transposeB ? rank - 1 : rank - 2],
    });
  },
};
