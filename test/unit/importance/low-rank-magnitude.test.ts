/** Tests LIFT's scores with known singular vectors, and with bounds that any approximation must keep. */
import { expect, test } from 'vitest';
import { lowRankMagnitude } from '../../../trainer/importance/low-rank-magnitude.ts';
import { magnitude } from '../../../trainer/importance/row-scores.ts';
import { createRandom } from '../../../trainer/random.ts';
import { expectClose } from '../../support/numbers/closeness.ts';

const random = createRandom(7);
const noise = (length: number): number[] => Array.from({ length }, () => random.uniform() - 0.5);

/** Orthonormal vectors of a power-of-two length: rows of a Hadamard matrix. */
const wave = (index: number, length: number): number[] =>
  Array.from({ length }, (_, at) => {
    let ones = 0;
    for (let bits = index & at; bits > 0; bits >>= 1) ones += bits & 1;
    return (ones % 2 ? -1 : 1) / Math.sqrt(length);
  });

test('keeps the largest singular values and drops the others', () => {
  const [rows, width] = [128, 64];
  // Sixteen large values and sixteen small ones; the elements of the first vector differ, so that scores do.
  const values = Array.from({ length: 32 }, (_, k) => (k < 16 ? 40 - k : 1 - k / 64));
  const of = (count: number): number[] => {
    const sum = new Array<number>(rows * width).fill(0);
    for (let k = 0; k < count; k++) {
      const [left, right] = [wave(k + 1, rows), wave(k + 3, width)];
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < width; j++)
          sum[i * width + j] = (sum[i * width + j] ?? 0) + (values[k] ?? 0) * (left[i] ?? 0) * (right[j] ?? 0);
    }
    return sum;
  };
  expectClose(
    [...lowRankMagnitude(Float32Array.from(of(32)), rows)],
    [...magnitude(Float32Array.from(of(16)), rows)],
    1e-5,
    'a weight of rank 32',
  );
});

test('a weight of low rank has the scores of magnitude', () => {
  const [rows, width, rank] = [96, 80, 5];
  const [left, right] = [noise(rows * rank), noise(rank * width)];
  const weight = Float32Array.from({ length: rows * width }, (_, at) => {
    const [i, j] = [Math.floor(at / width), at % width];
    return Array.from({ length: rank }, (_, k) => (left[i * rank + k] ?? 0) * (right[k * width + j] ?? 0)).reduce((a, b) => a + b);
  });
  expectClose([...lowRankMagnitude(weight, rows)], [...magnitude(weight, rows)], 1e-5, 'rank 5');
});

test.each([
  ['the scale of a norm', 64, 1],
  ['a single row', 1, 64],
  ['zeros', 8, 8],
])('%s', (name, rows, width) => {
  const weight = Float32Array.from(name === 'zeros' ? new Array<number>(rows * width).fill(0) : noise(rows * width));
  expectClose([...lowRankMagnitude(weight, rows)], [...magnitude(weight, rows)], 1e-6, name);
});

test('scores are deterministic and never above the length of the row', () => {
  const weight = Float32Array.from(noise(64 * 48));
  const scores = lowRankMagnitude(weight, 64);
  expect(lowRankMagnitude(weight, 64)).toEqual(scores);
  const lengths = magnitude(weight, 64);
  for (const [row, score] of scores.entries()) expect(score).toBeLessThanOrEqual((lengths[row] ?? 0) * 1.0001);
});
