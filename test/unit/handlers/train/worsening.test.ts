/** Tests that a run that made its model worse says so, and suggests changes. */
import { expect, test } from 'vitest';
import { worsening } from '../../../../trainer/handlers/train/train-result.ts';
import { type Evaluation, labelResult } from '../../../../trainer/job/evaluate.ts';

const evaluation = (loss: number, right?: number): Evaluation => {
  const labels =
    right === undefined
      ? undefined
      : labelResult(
          ['a', 'b'],
          [
            [right, 10 - right],
            [0, 10],
          ],
        );
  return { loss, samples: 20, targets: 20, seconds: 1, ...(labels && { labels }) };
};

test('a loss that rose is named with a way out', () => {
  expect(worsening(evaluation(2), evaluation(2.5))).toMatch(/^the held-out loss rose from 2 to 2\.5: lower learning_rate/);
  expect(worsening(evaluation(2, 5), evaluation(2.5, 4))).toMatch(/rose from 2 to 2\.5/);
});

test.each([
  ['it fell', evaluation(2), evaluation(1.5)],
  ['it rose by less than is shown', evaluation(0.693_71), evaluation(0.693_72)],
  ['it stayed', evaluation(2), evaluation(2)],
  ['more labels are right', evaluation(0.7, 5), evaluation(0.9, 9)],
  ['nothing was held out', undefined, undefined],
  ['the run was stopped', evaluation(2), undefined],
])('no warning where %s', (_, before, after) => expect(worsening(before, after)).toBeUndefined());
