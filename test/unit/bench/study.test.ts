/** The study: equal budgets are equal, each family's rate is tuned once, the report counts what it is given. */
import { expect, test } from 'vitest';
import { parts, SEEDS, testRuns, tuningRuns, waysOf } from '../../../bench/study-plan.ts';
import { type StudyRun, studyMarkdown } from '../../../bench/study-report.ts';

test.each(parts)('$name: three rates a family, three seeds a way, controls among them', part => {
  const ways = waysOf(part);
  const tuning = tuningRuns(ways, part.rates);
  const families = new Set(ways.map(({ family }) => family));
  expect(tuning).toHaveLength(3 * families.size);
  expect(tuning.filter(({ way }) => way.family === 'spsft').every(({ way }) => way.name === 'spsft, magnitude')).toBe(true);
  expect(ways.map(({ name }) => name)).toEqual(expect.arrayContaining(['spsft, random', 'spsft, magnitude', 'lora', 'head', 'full']));
  const rates = new Map([...families].map(family => [family, 0.5]));
  const tested = testRuns(ways, rates);
  expect(tested).toHaveLength(SEEDS.length * ways.length);
  expect(tested.every(({ learningRate }) => learningRate === 0.5)).toBe(true);
});

test('the report: mean and deviation over seeds, and a note where the best rate lies at an end', () => {
  const run = (seed: number, accuracy: number): StudyRun => ({
    part: 'vit',
    purpose: 'test',
    way: 'lora',
    family: 'lora',
    learningRate: 3e-2,
    seed,
    before: 0.1,
    accuracy,
    loss: 1,
    trainable: 1000,
    parameters: 10_000,
    steps: 5,
    samples: 100,
    seconds: 2,
  });
  const runs = [run(2, 0.8), run(3, 0.9), run(4, 0.7)];
  const text = studyMarkdown({ vit: { part: 'vit', runs, minutes: 1, date: '2026-01-01', machine: 'a machine' } });
  expect(text).toContain('| lora | 80.0 ± 10.0 | 1.000 ± 0.000 | 1,000 | 10.0% | 0.03 | 2.0 |');
  expect(text).toContain('lies at an end of those tried for lora');
  expect(text).not.toContain('MiniLM on spam');
});
