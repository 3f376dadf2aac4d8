/** Compares the most likely tokens with a sort, and tests vocabularies that differ. */
import { expect, test } from 'vitest';
import { vocabularyDifference } from '../../../trainer/objective/distillation/open-teacher.ts';
import { findTopTokens } from '../../../trainer/objective/distillation/top-tokens.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';

test.each([
  [5, 5],
  [40, 1],
  [1000, 64],
  [1000, 1000],
])('of %i logits the %i largest, the smaller id first where they are equal', (vocabulary, k) => {
  // Rounded, so that many are equal.
  const logits = Float32Array.from(randomNumbers(vocabulary, -4, 4, 7), value => Math.round(value * 8) / 8);
  const into = { ids: new Int32Array(2 * k), logs: new Float32Array(2 * k) };
  findTopTokens(logits, 0.5, k, { into, place: 1 });
  const expected = [...logits.keys()].sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b).slice(0, k);
  expect([...into.ids.subarray(k)]).toEqual(expected);
  expect([...into.logs.subarray(k)]).toEqual(expected.map(id => (logits[id] as number) - 0.5));
  expect(into.ids.subarray(0, k).every(id => id === 0)).toBe(true);
});

test('vocabularies are compared as far as both go', () => {
  const of = (...tokens: string[]) => ({ vocabularySize: tokens.length, token: (id: number) => tokens[id] });
  expect(vocabularyDifference(of('a', 'b'), of('a', 'b', '<pad>'))).toBeUndefined();
  expect(vocabularyDifference(of('a', 'b', 'c', 'd'), of('a', 'x', 'c', 'y'))).toBe(
    'token 1 is "b" in the model and "x" in the teacher (2 of 4 differ)',
  );
});
