/** Scores of the columns of a linear layer's weight [out, in]: how much each of its inputs matters. */
import type { Graph, Node } from '../graph/graph.ts';

/** √(Σ_i w²) of each column. @param weight [out, columns] flattened */
export const columnMagnitude = (weight: Float32Array, columns: number): Float32Array =>
  Float32Array.from(
    columnSums(weight, columns, value => value * value),
    Math.sqrt,
  );

/** ‖x_j‖₂·Σ_i |w_ij| of each column: Wanda's terms (Sun et al. 2023), summed over the rows instead. @param squares Σ x_j², [columns] */
export const columnWanda = (weight: Float32Array, squares: Float32Array): Float32Array => {
  const sizes = columnSums(weight, squares.length, Math.abs);
  return squares.map((square, column) => Math.sqrt(square) * (sizes[column] as number));
};

function columnSums(weight: Float32Array, columns: number, term: (value: number) => number): Float64Array {
  const sums = new Float64Array(columns);
  for (let begin = 0; begin < weight.length; begin += columns)
    for (let column = 0; column < columns; column++) sums[column] = (sums[column] as number) + term(weight[begin + column] as number);
  return sums;
}

/**
 * w_jᵀ·∇_{w_j} L of each column, signed, [in], without a weight gradient: for y = x·Wᵀ + b it is Σ_n x_{n,j}·(dy·W)_{n,j}, the inputs times
 * the gradient that the layer passes back to them.
 * @param x [n, in] @param dy [n, out] @param weight [out, in]
 */
export const taylorColumn = (graph: Graph, x: Node, dy: Node, weight: Node): Node => graph.sum(graph.mul(x, graph.matmul(dy, weight)), [0]);
