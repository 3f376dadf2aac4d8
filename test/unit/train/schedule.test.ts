/** Learning rates against numbers of Transformers 5 (get_linear_schedule_with_warmup and its sisters), to 12 digits. */
import { expect, test } from 'vitest';
import { learningRateAt, type ScheduleSettings, warmupStepsOf } from '../../../trainer/train/schedule.ts';

const base = { learningRate: 2e-4, minLearningRate: 0, warmupSteps: 3, totalSteps: 10 };
const cases: { name: string; settings: ScheduleSettings; expected: number[] }[] = [
  {
    name: 'linear',
    settings: { ...base, type: 'linear' },
    expected: [
      0, 6.666666666666667e-5, 1.3333333333333334e-4, 2e-4, 1.7142857142857143e-4, 1.4285714285714287e-4, 1.1428571428571428e-4,
      8.571428571428571e-5, 5.714285714285714e-5, 2.857142857142857e-5,
    ],
  },
  {
    name: 'cosine',
    settings: { ...base, type: 'cosine' },
    expected: [
      0, 6.666666666666667e-5, 1.3333333333333334e-4, 2e-4, 1.900968867902419e-4, 1.6234898018587337e-4, 1.2225209339563145e-4,
      7.774790660436858e-5, 3.7651019814126654e-5, 9.903113209758096e-6,
    ],
  },
  {
    name: 'cosine with a floor',
    settings: { ...base, type: 'cosine', minLearningRate: 1e-5 },
    expected: [
      0, 6.666666666666667e-5, 1.3333333333333334e-4, 2e-4, 1.9059204245072981e-4, 1.642315311765797e-4, 1.2613948872584988e-4,
      8.386051127415013e-5, 4.576846882342032e-5, 1.940795754927019e-5,
    ],
  },
  {
    name: 'constant',
    settings: { ...base, type: 'constant' },
    expected: [0, 6.666666666666667e-5, 1.3333333333333334e-4, ...new Array<number>(7).fill(2e-4)],
  },
  {
    name: 'linear without warm-up',
    settings: { ...base, type: 'linear', warmupSteps: 0, totalSteps: 4 },
    expected: [2e-4, 1.5e-4, 1e-4, 5e-5],
  },
];

test.each(cases)('$name', ({ settings, expected }) => {
  expected.forEach((rate, step) => {
    expect(Math.abs(learningRateAt(settings, step) - rate)).toBeLessThanOrEqual(1e-12 * 2e-4);
  });
});

test('warm-up: steps stand in place of a share, and a share is rounded up', () => {
  expect(warmupStepsOf({ steps: 5, ratio: 0.5, totalSteps: 100 })).toBe(5);
  expect(warmupStepsOf({ ratio: 0.03, totalSteps: 110 })).toBe(4);
  expect(warmupStepsOf({ totalSteps: 110 })).toBe(0);
});
