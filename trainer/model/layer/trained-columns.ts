/** The product of a linear layer that trains some columns of its weight: the backward pass keeps only the input features they read. */
import type { Graph, Node } from '../../graph/graph.ts';

/**
 * x [rows, in] · Wᵀ [rows, out] with ∂L/∂W[:, columns] = dyᵀ·x[:, columns] (S2FT, Yang et al. 2024). The columns of x are gathered in the
 * forward pass: if everything is kept, they are kept in place of x. A recompute policy that computes x again gathers them again, which
 * costs no more than x does for rows. The gradient of the other columns is never computed.
 * @param columns int32 [c]
 */
export function columnProduct(graph: Graph, x: Node, weight: Node, columns: Node): Node {
  const read = graph.gather(x, columns, -1);
  const product = graph.matmul(x, weight, { transposeB: true });
  product.custom = {
    inputs: [x, weight],
    rule: ({ dy, wants, value }) => {
      // The gradient of the weight first, as in any product.
      const ofColumns = wants(1) ? graph.matmul(dy, value(read), { transposeA: true }) : undefined;
      return [wants(0) ? graph.matmul(dy, value(weight)) : undefined, ofColumns];
    },
  };
  return product;
}
