/** The inverse of unit lower triangular matrices, block by block, without powers of the matrix. */
import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { sharedConstant } from '../shared-constant.ts';

/**
 * (I + N)⁻¹ of strictly lower triangular matrices N [count, size, size]. Inverts the blocks on the diagonal, first of one row, then of
 * twice as many each time, since the inverse of [A 0; C B] is [A⁻¹ 0; −B⁻¹·C·A⁻¹ B⁻¹]. With X the inverse: dN = −Xᵀ·dX·Xᵀ.
 * The product (I − N)(I + N²)(I + N⁴)… is equal in exact arithmetic, but powers of N reach 10¹⁸ when keys are nearly equal.
 */
export function unitLowerInverse(graph: Graph, n: Node): Node {
  const [, size] = dimensions(n.shape, 3);
  let x = graph.sub(identity(graph, size), graph.mul(n, halves(graph, size, 1)));
  for (let rows = 2; rows < size; rows *= 2) {
    const below = graph.mul(n, halves(graph, size, rows));
    x = graph.sub(x, graph.matmul(graph.matmul(x, below), x));
  }
  const inverse = x;
  inverse.custom = {
    inputs: [n],
    rule: ({ dy, value }) => {
      const own = value(inverse);
      return [graph.neg(graph.matmul(graph.matmul(own, dy, { transposeA: true }), own, { transposeB: true }))];
    },
  };
  return inverse;
}

/** [1, size, size]. */
export const identity = (graph: Graph, size: number): Node =>
  sharedConstant(graph, `identity ${size}`, [1, size, size], () => matrix(size, (i, j) => i === j));

/** [size, size], 1 where the blocks of row and column (of `rows` each) are the lower and the upper half of one block twice as large. */
const halves = (graph: Graph, size: number, rows: number): Node =>
  sharedConstant(graph, `halves ${size} ${rows}`, [size, size], () =>
    matrix(size, (i, j) => Math.floor(i / rows) % 2 === 1 && Math.floor(i / rows) - 1 === Math.floor(j / rows)),
  );

/** 1 for the chosen entries, 0 elsewhere. */
export function matrix(size: number, isChosen: (row: number, column: number) => boolean): Float32Array {
  const entries = new Float32Array(size * size);
  for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) entries[i * size + j] = Number(isChosen(i, j));
  return entries;
}
