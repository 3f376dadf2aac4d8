/** Products in the element type that a run computes them in, with float32 results. */
import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import type { DType } from '../graph/types.ts';

/** The float32 product of two tensors, computed in another element type. */
export const product = (graph: Graph, dtype: DType, a: Node, b: Node, options: { transposeA?: boolean; transposeB?: boolean } = {}): Node =>
  graph.cast(graph.matmul(graph.cast(a, dtype), graph.cast(b, dtype), options), 'float32');

/** A tensor in the type of products, converted again at each use, so that the backward pass keeps no copy. */
export const narrowed = (graph: Graph, x: Node, dtype: DType): Node => graph.within({ transient: true }, () => graph.cast(x, dtype));

/** A variable in the type of products: see {@link narrowed}. */
export const readAs = (graph: Graph, variable: VariableSpec, dtype: DType): Node =>
  graph.within({ transient: true }, () => graph.cast(graph.read(variable), dtype));

/**
 * x [rows, in] · Wᵀ [rows, out] of a layer that trains some columns of its weight, with ∂L/∂W[:, columns] = dyᵀ·x[:, columns] (S2FT, Yang et al.
 * 2024). The columns of x are gathered in the forward pass: if everything is kept, they are kept in place of x. A recompute policy that computes
 * x again gathers them again, which costs no more than x does for rows. The gradient of the other columns is never computed.
 * @param columns int32 [c]
 */
export function columnProduct(graph: Graph, x: Node, weight: Node, columns: Node): Node {
  const read = graph.gather(x, columns, -1);
  const y = graph.matmul(x, weight, { transposeB: true });
  y.custom = {
    inputs: [x, weight],
    rule: ({ dy, wants, value }) => {
      // The gradient of the weight first, as in any product.
      const ofColumns = wants(1) ? graph.matmul(dy, value(read), { transposeA: true }) : undefined;
      return [wants(0) ? graph.matmul(dy, value(weight)) : undefined, ofColumns];
    },
  };
  return y;
}
