/** Tests the best checkpoint by each metric: the lowest loss or divergence, and the highest of all others. */
import { expect, test } from 'vitest';
import { bestModelValue } from '../../../trainer/job/evaluate.ts';

const found = { loss: 2, samples: 1, targets: 1, seconds: 1, tokenAccuracy: 0.4, measures: { teacher_divergence: 0.3, margin: 5 } };

test.each([
  ['loss', -2],
  ['teacher_divergence', -0.3],
  ['margin', 5],
  ['accuracy', 0.4],
  ['f1', -2],
] as const)('%s', (metric, value) => expect(bestModelValue(found, metric)).toBe(value));
