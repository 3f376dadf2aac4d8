/** Tests the output of evaluations: the predictions of a few classes, quartiles over many, and benchmarks with their mean. */
import { expect, test } from 'vitest';
import { benchmarkTable, classTable, metricRows } from '../../../trainer/cli/show/run-table.ts';
import { type Evaluation, labelResult } from '../../../trainer/job/evaluate.ts';

function evaluation(rights: readonly number[]): Evaluation {
  const names = rights.map((_, i) => `c${i}`);
  const counts = rights.map((right, i) => names.map((_, j) => (i === j ? right : j === (i + 1) % names.length ? 10 - right : 0)));
  const sorted = [...rights].sort((a, b) => a - b).map(right => right / 10);
  const [min = 0, q1 = 0, median = 0, q3 = 0, max = 0] = sorted;
  const measures = {
    f1: 0.5,
    class_accuracy_min: min,
    class_accuracy_q1: q1,
    class_accuracy_median: median,
    class_accuracy_q3: q3,
    class_accuracy_max: max,
  };
  return { loss: 1, samples: 10 * rights.length, targets: 10 * rights.length, seconds: 1, labels: labelResult(names, counts), measures };
}

test('what classes are taken for, quartiles over them, and the hardest', () => {
  const text = classTable({ before: evaluation([1, 2, 3, 4, 5]), after: evaluation([9, 2, 7, 8, 10]) });
  expect(text.split('\n\n')[1]?.split('\n')).toEqual([
    'accuracy by class    min    25%  median    75%     max',
    'before             10.0%  20.0%   30.0%  40.0%   50.0%',
    'after              20.0%  70.0%   80.0%  90.0%  100.0%',
    'hardest: c1 20.0%, c2 70.0%, c3 80.0%, c0 90.0%, c4 100.0%',
  ]);
  expect(classTable({ before: evaluation([0, 0]), after: evaluation([9, 2]) }).split('\n')).toEqual([
    'actual, predicted →  c0  c1',
    'c0                    9   1',
    'c1                    8   2',
  ]);
  expect(classTable({ after: evaluation(Array(11).fill(5)) })).not.toContain('given');
  const { measures: _, ...tagged } = evaluation([9, 2, 7, 8, 10]);
  expect(classTable({ after: tagged }).split('\n\n')[1]).toBe('hardest: c1 20.0%, c2 70.0%, c3 80.0%, c0 90.0%, c4 100.0%');
  expect(metricRows(evaluation([1, 2, 3, 4, 5])).map(([name]) => name)).not.toContain('class_accuracy_min');
});

test('benchmarks with their mean', () => {
  const one = { accuracy: 0.5, accuracyNorm: 0.25, standardError: 0.1, questions: 4 };
  expect(benchmarkTable({ boolq: one, rte: { ...one, accuracy: 0.7 } })).toContain('mean');
  const trained = { ...evaluation([5]), measures: { boolq: 0.5, multiple_choice: 0.25, f1: 0.5 } };
  expect(metricRows(trained)).toEqual(
    expect.arrayContaining([
      ['boolq', '50.0%'],
      ['multiple choice', '25.0%'],
      ['F1', '0.5'],
    ]),
  );
});

test('a measure has the label and the format that it has on the pages', () => {
  const { measures, ...rest } = evaluation([1, 2]);
  const rows = new Map(
    metricRows({ ...rest, measures: { ...measures, matthews: 0.25, reward_chosen: 1.5, exact_match: 0.5 } }).map(([name, value]) => [
      name,
      value,
    ]),
  );
  expect(rows.get('Matthews correlation')).toBe('0.25');
  expect(rows.get('reward of the better answer')).toBe('1.5');
  expect(rows.get('exact answers')).toBe('0.5');
});
