/**
 * Products of rows with the matrices of the experts that they are assigned to (Shazeer et al. 2017): every assignment is computed, none is
 * dropped.
 */
import type { GraphBuilder } from '../graph-builder.ts';
import type { Node } from '../node-store.ts';
import { inputsOf } from '../node-store.ts';
import type { OpTable } from '../op-rule.ts';
import { dimensions, elementCount, GraphError, type TensorSpec } from '../types.ts';

/** Returns the number of assignments. @throws GraphError if it is not a multiple of the number of rows */
function assignmentsOf(ids: TensorSpec | undefined, ...read: readonly (TensorSpec | undefined)[]): number {
  const n = ids?.shape[0];
  if (ids?.dtype !== 'int32' || ids.shape.length !== 1 || n === undefined) throw new GraphError('experts must be int32 [assignments]');
  for (const x of read) {
    if (x?.shape.length !== 2) throw new GraphError('a matrix is needed');
    if (x.shape[0] === 0 || n % (x.shape[0] as number)) throw new GraphError(`${n} assignments are not a multiple of ${x.shape[0]} rows`);
  }
  return n;
}

/** Sums the gradients of the assignments that read the same row. @param dx [n, width] @returns [rows, width] */
function sumAssignments(graph: GraphBuilder, dx: Node, rows: number): Node {
  const [n, width] = dimensions(dx.shape, 2);
  return n === rows ? dx : graph.sum(graph.reshape(dx, [rows, n / rows, width]), [1]);
}

export const expertRules: Pick<OpTable, 'expertProduct' | 'expertGradient'> = {
  expertProduct: {
    infer: ([x, w, ids], { experts, transposed }) => {
      const n = assignmentsOf(ids, x);
      if (!x || w?.shape.length !== 2) throw new GraphError('the matrices of the experts must be one matrix [experts · out, in]');
      const [stacked, width] = dimensions(w.shape, 2);
      if (stacked % experts) throw new GraphError(`${stacked} rows do not divide among ${experts} experts`);
      if (x.dtype !== w.dtype) throw new GraphError('the element types differ');
      const [from, to] = transposed ? [stacked / experts, width] : [width, stacked / experts];
      if (x.shape[1] !== from) throw new GraphError(`inner sizes ${x.shape[1]} and ${from} differ`);
      return { shape: [n, to], dtype: x.dtype };
    },
    /**
     * y_t = W·x: dx = Σ_t Wᵀ·dy_t over the assignments of a row, and dW of each expert = Σ_t dy_t ⊗ x. If rows are chosen, the others are
     * never formed.
     */
    gradient: ({ graph, dy, node, wants, rows, value }) => {
      const [x, w, ids] = inputsOf(node, 3);
      const { experts, transposed } = node.attrs;
      const [left, right] = transposed ? [() => value(x), () => dy] : [() => dy, () => value(x)];
      const gradW = wants(1) ? graph.expertGradient(left(), right(), value(ids), experts, rows(1)) : undefined;
      const back = () => graph.expertProduct(dy, value(w), value(ids), { experts, transposed: !transposed });
      return [wants(0) ? sumAssignments(graph, back(), x.shape[0] as number) : undefined, gradW, undefined];
    },
    flops: ([x], output) => 2 * elementCount(output.shape) * (x?.shape[1] ?? 0),
    buffer: 'fresh',
    rowAware: [1],
    costly: true,
  },
  expertGradient: {
    infer: ([a, b, ids, rows], { experts }) => {
      assignmentsOf(ids, a, b);
      if (!a || a.dtype !== b?.dtype) throw new GraphError('the element types differ');
      if (rows && (rows.dtype !== 'int32' || rows.shape.length !== 1)) throw new GraphError('rows must be int32 [r]');
      const [out, width] = [a.shape[1] as number, b.shape[1] as number];
      return { shape: [rows ? (rows.shape[0] as number) : experts * out, width], dtype: a.dtype };
    },
    gradient: null,
    // On average, each expert gets an equal share of the assignments.
    flops: ([, b, ids], output, { experts }) => (2 * elementCount(output.shape) * ((ids ?? b)?.shape[0] ?? 0)) / experts,
    buffer: 'fresh',
    costly: true,
  },
};
