/** Tests the losses of single samples with any number of targets. */
import { expect, test } from 'vitest';
import { sampleLosses } from '../../../trainer/importance/ablation.ts';

const plain = { bucket: { batch: 3, tokens: 4, targets: 12 }, sampleIndices: [7, 5], tokenCount: 8, feeds: () => ({}) };

test('a sample with one target has its loss', () => {
  expect(sampleLosses({ ...plain, targetCount: 2 }, Float32Array.of(1, 2, 9), undefined)).toEqual(
    new Map([
      [7, 1],
      [5, 2],
    ]),
  );
});

test('words with tags count by their weights, and padding does not', () => {
  const losses = Float32Array.of(9, 1, 3, 9, 9, 4, 9, 9, 9, 9, 9, 9);
  const weights = Float32Array.of(0, 1, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0);
  expect(sampleLosses({ ...plain, targetCount: 3, targetsOfSamples: [2, 1] }, losses, weights)).toEqual(
    new Map([
      [7, 2],
      [5, 4],
    ]),
  );
});

test('tokens of packed samples count by the weights of their turns', () => {
  const batch = {
    ...plain,
    targetCount: 3,
    ids: new Int32Array(12),
    segments: new Int32Array(12),
    positions: new Int32Array(12),
    targetPositions: new Int32Array(4),
    targetIds: new Int32Array(4),
    targetWeights: Float32Array.of(1, 0.5, 1, 0),
    targetSamples: Int32Array.of(7, 7, 5, -1),
  };
  expect(sampleLosses(batch, Float32Array.of(3, 6, 2, 9), undefined)).toEqual(
    new Map([
      [7, 4],
      [5, 2],
    ]),
  );
});
