/** Scores rows by how much of them a low-rank approximation keeps. */
import { gramOf, principalDirections } from '../principal-directions.ts';

/** The rank of the approximation; for a small weight, a quarter of its smaller side. */
const RANK = 16;
/** Iterations of subspace iteration: each moves the basis toward the largest singular vectors. */
const ROUNDS = 4;

/**
 * The norm of each row of Q·Qᵀ·W, where Q approximately spans the largest left singular vectors of W: the magnitude after a rank reduction
 * (LIFT, Liu et al. 2025, used there for single weights). The same weight always gets the same scores.
 * @param weight [rows, …] flattened
 */
export function lowRankMagnitude(weight: Float32Array, rows: number): Float32Array {
  const width = weight.length / rows;
  const rank = Math.max(1, Math.min(RANK, Math.floor(Math.min(rows, width) / 4)));
  const { outputs, inputs } = principalDirections(weight, rows, { rank, rounds: ROUNDS });
  // inputs = Wᵀ·Q: the norm of row i of Q·(Wᵀ·Q)ᵀ is √(q_iᵀ·G·q_i) with G = (Wᵀ·Q)ᵀ·(Wᵀ·Q).
  const gram = gramOf(inputs, rank);
  return Float32Array.from({ length: rows }, (_, row) => Math.sqrt(Math.max(0, quadraticForm(gram, outputs, row * rank, rank))));
}

/** qᵀ·G·q, where q starts at index `from`. */
function quadraticForm(gram: Float64Array, basis: Float64Array, from: number, rank: number): number {
  let sum = 0;
  for (let a = 0; a < rank; a++)
    for (let b = 0; b < rank; b++) sum += (basis[from + a] as number) * (gram[a * rank + b] as number) * (basis[from + b] as number);
  return sum;
}
