/**
 * Tests learning rates beyond those of the golden traces (test/golden/trainer-traces.long.test.ts): a cosine with a floor, to 12 digits of
 * Transformers 5.
 */
import { expect, test } from 'vitest';
import { learningRateAt, type ScheduleSettings, stepsOf, warmupStepsOf } from '../../../trainer/train/schedule.ts';

const base: Omit<ScheduleSettings, 'type'> = { learningRate: 2e-4, minLearningRate: 0, warmupSteps: 3, totalSteps: 10, arguments: {} };

test('a cosine with a floor', () => {
  const expected = [
    0, 6.666666666666667e-5, 1.3333333333333334e-4, 2e-4, 1.9059204245072981e-4, 1.642315311765797e-4, 1.2613948872584988e-4,
    8.386051127415013e-5, 4.576846882342032e-5, 1.940795754927019e-5,
  ];
  expected.forEach((rate, step) => {
    const found = learningRateAt({ ...base, type: 'cosine', minLearningRate: 1e-5 }, step);
    expect(Math.abs(found - rate)).toBeLessThanOrEqual(1e-12 * 2e-4);
  });
});

test('a constant rate has no warm-up, as in Transformers', () => expect(learningRateAt({ ...base, type: 'constant' }, 0)).toBe(2e-4));

test('warm-up: steps stand in place of a share, and a share is rounded up', () => {
  expect(warmupStepsOf({ steps: 5, ratio: 0.5, totalSteps: 100 })).toBe(5);
  expect(warmupStepsOf({ steps: 0.031, totalSteps: 100 })).toBe(4);
  expect(warmupStepsOf({ ratio: 0.03, totalSteps: 110 })).toBe(4);
  expect(warmupStepsOf({ totalSteps: 110 })).toBe(0);
});

test('a cadence is a number of updates, or a share of all, rounded up', () => {
  expect(stepsOf(7, 100)).toBe(7);
  expect(stepsOf(0.1, 101)).toBe(11);
});
