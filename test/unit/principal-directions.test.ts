/** Tests singular values and vectors with matrices built from known ones, and with the definition of eigenvectors. */
import { describe, expect, test } from 'vitest';
import { singularParts, symmetricEigen } from '../../trainer/principal-directions.ts';
import { expectClose } from '../support/numbers/closeness.ts';
import { randomNumbers } from '../support/numbers/operation-case.ts';

/** Returns orthonormal columns [n, count] by the Gram–Schmidt process. */
function orthonormal(n: number, count: number, seed: number): number[][] {
  const columns: number[][] = [];
  for (let k = 0; k < count; k++) {
    let column = randomNumbers(n, -1, 1, seed + k);
    for (const other of columns) {
      const share = column.reduce((sum, x, i) => sum + x * (other[i] ?? 0), 0);
      column = column.map((x, i) => x - share * (other[i] ?? 0));
    }
    const length = Math.hypot(...column);
    columns.push(column.map(x => x / length));
  }
  return columns;
}

function madeOf(values: readonly number[], rows: number, width: number): { weight: Float32Array; left: number[][] } {
  const [left, right] = [orthonormal(rows, values.length, 1), orthonormal(width, values.length, 100)];
  const weight = Float32Array.from({ length: rows * width }, (_, at) =>
    values.reduce((sum, value, k) => sum + value * (left[k]?.[Math.floor(at / width)] ?? 0) * (right[k]?.[at % width] ?? 0), 0),
  );
  return { weight, left };
}

const partOf = (values: Float64Array, count: number, k: number): number[] => [...values].filter((_, at) => at % count === k);

describe('singularParts', () => {
  test.each([
    ['decomposed exactly', 24, 40],
    ['taller than wide', 40, 24],
    ['by iteration, since both sides are large', 140, 160],
  ])('%s', (_, rows, width) => {
    const spectrum = Array.from({ length: 20 }, (__, k) => 3 * 0.8 ** k);
    const { weight, left } = madeOf(spectrum, rows, width);
    const found = singularParts(weight, rows, 4);
    expectClose([...found.values], spectrum.slice(0, 4), 1e-5);
    for (let k = 0; k < 4; k++) {
      const own = partOf(found.left, 4, k);
      const sign = Math.sign(own.reduce((sum, x, i) => sum + x * (left[k]?.[i] ?? 0), 0));
      expectClose(
        own,
        (left[k] ?? []).map(x => sign * x),
        1e-4,
      );
      // W·v = σ·u.
      const right = partOf(found.right, 4, k);
      const image = Array.from({ length: rows }, (__, i) => right.reduce((sum, x, j) => sum + x * (weight[i * width + j] ?? 0), 0));
      expectClose(
        image,
        own.map(x => (found.values[k] ?? 0) * x),
        1e-4,
      );
    }
  });

  test('values beyond the rank of the weight are 0, and all numbers are finite', () => {
    const { weight } = madeOf([2, 1], 10, 12);
    const found = singularParts(weight, 10, 4);
    expectClose([...found.values], [2, 1, 0, 0], 1e-5);
    expect([...found.left, ...found.right].every(Number.isFinite)).toBe(true);
    expect([...singularParts(new Float32Array(120), 10, 3).values]).toEqual([0, 0, 0]);
  });
});

test('symmetricEigen: M·v = λ·v, and the values fall', () => {
  const n = 9;
  const numbers = randomNumbers(n * n, -1, 1, 5);
  const matrix = Float64Array.from({ length: n * n }, (_, at) => (numbers[at] ?? 0) + (numbers[(at % n) * n + Math.floor(at / n)] ?? 0));
  const { values, vectors } = symmetricEigen(matrix.slice(), n);
  for (let k = 0; k < n; k++) {
    const own = partOf(vectors, n, k);
    const image = Array.from({ length: n }, (_, i) => own.reduce((sum, x, j) => sum + x * (matrix[i * n + j] ?? 0), 0));
    expectClose(
      image,
      own.map(x => (values[k] ?? 0) * x),
      1e-10,
    );
    if (k > 0) expect(values[k]).toBeLessThanOrEqual(values[k - 1] ?? 0);
  }
});
