/** Approximates the largest singular values and vectors of a matrix. Deterministic: subspace iteration from a fixed start. */
import { createRandom } from './random.ts';

export interface Directions {
  /** Q [rows, rank], orthonormal: approximately spans the largest left singular vectors of W. */
  readonly outputs: Float64Array;
  /** Wᵀ·Q [width, rank]. */
  readonly inputs: Float64Array;
}

/**
 * Performs subspace iteration (Halko et al. 2011), in 4 · rounds · rank operations per element.
 * @param weight W [rows, …] flattened
 */
export function principalDirections(
  weight: Float32Array,
  rows: number,
  { rank, rounds }: { readonly rank: number; readonly rounds: number },
): Directions {
  const random = createRandom(rank);
  let inputs: Float64Array = Float64Array.from({ length: (weight.length / rows) * rank }, () => random.uniform() - 0.5);
  let outputs: Float64Array = new Float64Array(0);
  for (let round = 0; round < rounds; round++) {
    outputs = orthonormal(product(weight, inputs, { rows, rank, transposed: false }), rank);
    inputs = product(weight, outputs, { rows, rank, transposed: true });
  }
  return { outputs, inputs };
}

/** A weight whose smaller side is at most this is decomposed exactly. */
const EXACT_SIDE = 128;
/** Directions beyond the requested ones, because the last directions converge slowly (Halko et al. 2011). */
const MORE_DIRECTIONS = 8;
/** PEFT's documentation recommends 4 to 16 for its own subspace iteration. */
const ROUNDS = 8;

/** W ≈ left · diag(values) · rightᵀ: the largest singular values, in descending order, with their vectors. */
export interface SingularParts {
  /** [rows, count], orthonormal columns. */
  readonly left: Float64Array;
  /** [count], 0 beyond the rank of W. */
  readonly values: Float64Array;
  /** [width, count], orthonormal columns; zeros where the value is 0. */
  readonly right: Float64Array;
}

/**
 * Returns the `count` largest singular values and vectors within the subspace of `principalDirections`, from the eigenvectors of QᵀW·WᵀQ.
 * @param weight W [rows, …] flattened
 * @param count at most the smaller side of W
 */
export function singularParts(weight: Float32Array, rows: number, count: number): SingularParts {
  const width = weight.length / rows;
  const side = Math.min(rows, width);
  const rank = side <= EXACT_SIDE ? side : Math.min(side, count + MORE_DIRECTIONS);
  const { outputs, inputs } = principalDirections(weight, rows, { rank, rounds: ROUNDS });
  const { values: squares, vectors } = symmetricEigen(gramOf(inputs, rank), rank);
  const values = Float64Array.from({ length: count }, (_, k) => Math.sqrt(Math.max(0, squares[k] as number)));
  const smallest = 1e-7 * (values[0] ?? 0);
  const turned = (basis: Float64Array, scaleOf: (k: number) => number): Float64Array => {
    const result = new Float64Array((basis.length / rank) * count);
    for (let k = 0; k < count; k++) {
      const scale = scaleOf(k);
      for (let at = 0; at < basis.length / rank; at++) {
        let sum = 0;
        for (let j = 0; j < rank; j++) sum += (basis[at * rank + j] as number) * (vectors[j * rank + k] as number);
        result[at * count + k] = scale * sum;
      }
    }
    return result;
  };
  const isZero = (k: number): boolean => (values[k] as number) <= smallest;
  return {
    left: turned(outputs, () => 1),
    values: values.map((value, k) => (isZero(k) ? 0 : value)),
    right: turned(inputs, k => (isZero(k) ? 0 : 1 / (values[k] as number))),
  };
}

/** Maximum number of sweeps over all pairs; each squares the off-diagonal remainder once it is small. */
const SWEEPS = 30;

/**
 * Returns eigenvalues, in descending order, and their vectors, as columns, by cyclic Jacobi rotations (Golub and Van Loan, 8.5).
 * @param matrix symmetric [n, n]; it is overwritten
 */
export function symmetricEigen(matrix: Float64Array, n: number): { readonly values: Float64Array; readonly vectors: Float64Array } {
  const vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1;
  const total = matrix.reduce((sum, value) => sum + value * value, 0);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let offDiagonal = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) offDiagonal += (matrix[p * n + q] as number) ** 2;
    if (offDiagonal <= 1e-30 * total) break;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(matrix, vectors, n, p, q);
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => (matrix[b * n + b] as number) - (matrix[a * n + a] as number));
  return {
    values: Float64Array.from(order, i => matrix[i * n + i] as number),
    vectors: Float64Array.from({ length: n * n }, (_, at) => vectors[Math.floor(at / n) * n + (order[at % n] as number)] as number),
  };
}

/** Makes the element (p, q) zero by a rotation of rows and columns p and q. */
function rotate(matrix: Float64Array, vectors: Float64Array, n: number, p: number, q: number): void {
  const offDiagonal = matrix[p * n + q] as number;
  if (offDiagonal === 0) return;
  const theta = ((matrix[q * n + q] as number) - (matrix[p * n + p] as number)) / (2 * offDiagonal);
  const tangent = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const cosine = 1 / Math.sqrt(tangent * tangent + 1);
  const sine = tangent * cosine;
  const turn = (values: Float64Array, at: number, other: number): void => {
    const [a, b] = [values[at] as number, values[other] as number];
    values[at] = cosine * a - sine * b;
    values[other] = sine * a + cosine * b;
  };
  for (let i = 0; i < n; i++) turn(matrix, i * n + p, i * n + q);
  for (let i = 0; i < n; i++) turn(matrix, p * n + i, q * n + i);
  for (let i = 0; i < n; i++) turn(vectors, i * n + p, i * n + q);
}

/**
 * Returns W·B, or Wᵀ·B.
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

/**
 * Makes columns orthonormal in place (modified Gram–Schmidt, twice); a column that depends on earlier ones becomes zero.
 * @param basis [n, rank]
 */
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

/** Returns BᵀB. @param basis B [n, rank] @returns [rank, rank] */
export function gramOf(basis: Float64Array, rank: number): Float64Array {
  const gram = new Float64Array(rank * rank);
  for (let at = 0; at < basis.length; at += rank)
    for (let a = 0; a < rank; a++)
      for (let b = 0; b < rank; b++)
        gram[a * rank + b] = (gram[a * rank + b] as number) + (basis[at + a] as number) * (basis[at + b] as number);
  return gram;
}
