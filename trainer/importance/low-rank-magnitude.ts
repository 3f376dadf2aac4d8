/** Scores of rows by what a low-rank approximation keeps of them. */
import { createRandom } from '../random.ts';

/** The rank of the approximation; of a small weight, a quarter of its smaller side. */
const RANK = 16;
/** Rounds of subspace iteration: each moves the basis toward the largest singular vectors. */
const ROUNDS = 4;

/**
 * The length of each row of Q·Qᵀ·W, where Q spans nearly the largest left singular vectors of W: the magnitude after a rank reduction
 * (LIFT, Liu et al. 2025, there for single weights). Q is found by subspace iteration from a fixed start (Halko et al. 2011), in
 * 4 · ROUNDS · RANK operations per element. The same weight always has the same scores.
 * @param weight [rows, …] flattened
 */
export function lowRankMagnitude(weight: Float32Array, rows: number): Float32Array {
  const width = weight.length / rows;
  const rank = Math.max(1, Math.min(RANK, Math.floor(Math.min(rows, width) / 4)));
  const random = createRandom(rank);
  let inputs: Float64Array = Float64Array.from({ length: width * rank }, () => random.uniform() - 0.5);
  let outputs: Float64Array = new Float64Array(0);
  for (let round = 0; round < ROUNDS; round++) {
    outputs = orthonormal(product(weight, inputs, { rows, rank, transposed: false }), rank);
    inputs = product(weight, outputs, { rows, rank, transposed: true });
  }
  // inputs = Wᵀ·Q: the length of row i of Q·(Wᵀ·Q)ᵀ is √(q_iᵀ·G·q_i) with G = (Wᵀ·Q)ᵀ·(Wᵀ·Q).
  const gram = gramOf(inputs, rank);
  return Float32Array.from({ length: rows }, (_, row) => Math.sqrt(Math.max(0, quadraticForm(gram, outputs, row * rank, rank))));
}

/**
 * W·B, or Wᵀ·B.
 * @param basis B [width, rank], or [rows, rank] for the transposed weight
 * @returns [rows, rank], or [width, rank]
 */
function product(weight: Float32Array, basis: Float64Array, { rows, rank, transposed }: ProductShape): Float64Array {
  const width = weight.length / rows;
  const result = new Float64Array((transposed ? width : rows) * rank);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < width; column++) {
      const value = weight[row * width + column] as number;
      const from = (transposed ? row : column) * rank;
      const to = (transposed ? column : row) * rank;
      for (let k = 0; k < rank; k++) result[to + k] = (result[to + k] as number) + value * (basis[from + k] as number);
    }
  return result;
}

interface ProductShape {
  readonly rows: number;
  readonly rank: number;
  readonly transposed: boolean;
}

/** Makes columns orthonormal in place (modified Gram–Schmidt, twice); one that depends on those before it becomes zero. @param basis [n, rank] */
function orthonormal(basis: Float64Array, rank: number): Float64Array {
  const dot = (a: number, b: number): number => {
    let sum = 0;
    for (let at = 0; at < basis.length; at += rank) sum += (basis[at + a] as number) * (basis[at + b] as number);
    return sum;
  };
  for (let column = 0; column < rank; column++) {
    const before = Math.sqrt(dot(column, column));
    for (let pass = 0; pass < 2; pass++)
      for (let other = 0; other < column; other++) {
        const share = dot(other, column);
        for (let at = 0; at < basis.length; at += rank)
          basis[at + column] = (basis[at + column] as number) - share * (basis[at + other] as number);
      }
    const left = Math.sqrt(dot(column, column));
    const scale = left > 1e-10 * before ? 1 / left : 0;
    for (let at = column; at < basis.length; at += rank) basis[at] = (basis[at] as number) * scale;
  }
  return basis;
}

/** BᵀB. @param basis B [n, rank] @returns [rank, rank] */
function gramOf(basis: Float64Array, rank: number): Float64Array {
  const gram = new Float64Array(rank * rank);
  for (let at = 0; at < basis.length; at += rank)
    for (let a = 0; a < rank; a++)
      for (let b = 0; b < rank; b++)
        gram[a * rank + b] = (gram[a * rank + b] as number) + (basis[at + a] as number) * (basis[at + b] as number);
  return gram;
}

/** qᵀ·G·q, where q begins at `from`. */
function quadraticForm(gram: Float64Array, basis: Float64Array, from: number, rank: number): number {
  let sum = 0;
  for (let a = 0; a < rank; a++)
    for (let b = 0; b < rank; b++) sum += (basis[from + a] as number) * (gram[a * rank + b] as number) * (basis[from + b] as number);
  return sum;
}
