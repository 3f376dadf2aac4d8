/** The matrix product, which takes nearly all of the time. */
import { inputsOf } from '../node-store.ts';
import type { OpTable } from '../op-rule.ts';
import { joinCross } from '../op-rule.ts';
import { dimensions, elementCount, GraphError, sameShape } from '../types.ts';

export const productRules: Pick<OpTable, 'matmul'> = {
  matmul: {
    infer: ([a, b], { transposeA, transposeB }) => {
      if (!a || !b || a.shape.length < 2 || a.shape.length !== b.shape.length)
        throw new GraphError('two matrices of equal rank are needed');
      const lead = a.shape.slice(0, -2);
      if (!sameShape(lead, b.shape.slice(0, -2))) throw new GraphError('leading axes differ');
      if (a.dtype !== b.dtype) throw new GraphError('the element types differ');
      const [down, across] = dimensions(a.shape.slice(-2), 2);
      const [m, k] = transposeA ? [across, down] : [down, across];
      const [top, side] = dimensions(b.shape.slice(-2), 2);
      const [inner, n] = transposeB ? [side, top] : [top, side];
      if (k !== inner) throw new GraphError(`inner sizes ${k} and ${inner} differ`);
      return { shape: [...lead, m, n], dtype: a.dtype };
    },
    /**
     * C = A·B: dA = dC·Bᵀ, dB = Aᵀ·dC. If only some rows of a weight W [out, in] are requested (x·Wᵀ, the form of every linear layer),
     * dW[rows] = gather(dC, rows)ᵀ·x and the gradient of the other rows is never formed; likewise dW[:, columns] = dCᵀ·gather(x, columns).
     */
    gradient: ({ graph, dy, node, wants, rows, cross, value }) => {
      const [a, b] = inputsOf(node, 2);
      const { transposeA, transposeB } = node.attrs;
      const towardsA = () =>
        transposeA
          ? graph.matmul(value(b), dy, { transposeA: transposeB, transposeB: true })
          : graph.matmul(dy, value(b), { transposeB: !transposeB });
      const towardsB = () => {
        const both = transposeB && !transposeA ? cross(1) : undefined;
        if (both)
          return joinCross(
            graph,
            graph.matmul(graph.gather(dy, both.rows, -1), value(a), { transposeA: true }),
            graph.matmul(dy, graph.gather(value(a), both.columns, -1), { transposeA: true }),
          );
        const chosen = rows(1);
        const g = chosen ? (transposeB ? graph.gather(dy, chosen, -1) : dy) : dy;
        if (chosen && !transposeB) throw new GraphError('rows of a weight need the form x·Wᵀ');
        return transposeB
          ? graph.matmul(g, value(a), { transposeA: true, transposeB: transposeA })
          : graph.matmul(value(a), g, { transposeA: !transposeA });
      };
      // The weight's gradient comes first: its operands are available, and the gradient of a few rows is small.
      const gradB = wants(1) ? towardsB() : undefined;
      return [wants(0) ? towardsA() : undefined, gradB];
    },
    flops: ([a], output, { transposeA }) => 2 * elementCount(output.shape) * (a?.shape.at(transposeA ? -2 : -1) ?? 0),
    buffer: 'fresh',
    rowAware: [1],
    costly: true,
  },
};
