/** Tests the scores of a sample's answers in a table and in sentences. */
import { expect, test } from 'vitest';
import { modelsOf, scoreRows, verdictOf } from '../../../media/try/comparison.ts';
import type { ComparedAnswer, ComparedSample } from '../../../trainer/protocol/view/compared-sample.ts';

const sample = (...answers: ComparedAnswer[]): ComparedSample => ({
  part: 'eval',
  index: 0,
  count: 1,
  measure: 'logp',
  prompt: 'Q',
  answers,
});
const pair = (base: readonly [number, number] | undefined, tuned: readonly [number, number]): ComparedSample =>
  sample(
    ...(['chosen', 'rejected'] as const).map((side, i) => ({
      side,
      text: side,
      tokens: 1,
      ...(base && { base: base[i] ?? 0 }),
      tuned: tuned[i] ?? 0,
    })),
  );

test('a pair has the score of each answer by each model, and the margins', () => {
  const given = pair([-2, -1.5], [-1, -3]);
  expect(modelsOf(given)).toEqual(['base', 'tuned']);
  expect(scoreRows(given)).toEqual([
    { name: 'Better answer', scores: ['-2', '-1'] },
    { name: 'Worse answer', scores: ['-1.5', '-3'] },
    { name: 'Margin', scores: ['-0.5', '2'] },
  ]);
});

test.each([
  [
    pair([-2, -1.5], [-1, -3]),
    'The base model prefers the worse answer. The tuned model prefers the better answer. The margin rose from -0.5 to 2.',
  ],
  [pair([-1, -3], [-1, -2]), 'The base model prefers the better answer, and so does the tuned model. The margin fell from 2 to 1.'],
  [pair([-1, -1], [-1, -1]), 'The base model prefers neither answer, and so does the tuned model. The margin stayed at 0.'],
  [pair(undefined, [0.5, 1]), 'The tuned model prefers the worse answer.'],
])('the sentences say which answer each model prefers (%#)', (given, words) => expect(verdictOf(given)).toBe(words));

test('a reward model whose head is new has one column, and its margin', () => {
  expect(scoreRows(pair(undefined, [0.5, 1])).map(({ scores }) => scores)).toEqual([['0.5'], ['1'], ['-0.5']]);
});

test('a judged answer stands alone, without a margin', () => {
  const judged = sample({ side: 'undesirable', text: 'no', tokens: 1, base: -1, tuned: -2 });
  expect(scoreRows(judged)).toEqual([{ name: 'Bad answer', scores: ['-1', '-2'] }]);
  expect(verdictOf(judged)).toBe('The log-probability per token of the bad answer fell from -1 to -2.');
});
