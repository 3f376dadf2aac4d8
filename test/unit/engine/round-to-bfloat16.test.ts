/** Tests that the two ways in which the portable engine rounds to bfloat16 give the same bits. */
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { roundByOperations, roundToBfloat16 } from '../../../trainer/engine/portable/kernels/bfloat16.ts';
import { openFast, openReference } from '../../support/engines.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';

/** Ties to both sides, their neighbors, the largest values, infinities and NaN. */
const EDGES = [
  0,
  -0,
  1,
  1.00390625,
  1.01171875,
  1.0039063692092896,
  -1.004,
  2 ** 64,
  1.5e38,
  3.4e38,
  -3.4e38,
  Number.POSITIVE_INFINITY,
  Number.NaN,
];

test.each([
  ['wasm', openFast],
  ['cpu', openReference],
] as const)('on %s', async (backend, open) => {
  await open();
  await tf.setBackend(backend);
  const values = [...EDGES, ...randomNumbers(1000, -10, 10, 3), ...randomNumbers(1000, -1e30, 1e30, 4)];
  const [found, expected] = tf.tidy(() => {
    const x = tf.tensor1d(Float32Array.from(values));
    return [roundToBfloat16(x).dataSync().slice(), roundByOperations(x).dataSync().slice()];
  });
  expect(found).toEqual(expected);
  expect(Array.from(found.slice(2, 5))).toEqual([1, 1, 1.015625]);
});
