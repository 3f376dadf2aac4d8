/** Tests the checks of written answers, ROUGE-L as in the package rouge-score, and the prompts of samples. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { answerCheckNames } from '../../../trainer/catalog/answer-checks.ts';
import { promptsOf } from '../../../trainer/objective/answers/answer-prompts.ts';
import { checksOf } from '../../../trainer/objective/answers/check-answer.ts';
import { rougeL } from '../../../trainer/objective/answers/rouge.ts';
import { readGoldenJson } from '../../support/files/read-json.ts';

test('ROUGE-L is that of rouge-score (1e-12)', () => {
  const cases = readGoldenJson('rouge.json', z.array(z.object({ reference: z.string(), answer: z.string(), f: z.number() })));
  expect(cases.length).toBeGreaterThan(50);
  for (const { reference, answer, f } of cases) expect(rougeL(reference, answer), `${reference} | ${answer}`).toBeCloseTo(f, 12);
});

test.each([
  ['exact_match', ' yes\n', 'yes', 1],
  ['exact_match', 'Yes', 'yes', 0],
  ['json', ' {"a": [1]} ', '', 1],
  ['json', '[]', '', 1],
  ['json', '42', '', 0],
  ['json', 'null', '', 0],
  ['json', '```json\n{}\n```', '', 0],
  ['json', '{"a": 1', '', 0],
  ['pattern', ' 17 apples', '', 1],
  ['pattern', 'apples: 17', '', 0],
  ['rouge_l', 'a b', 'a b', 1],
] as const)('%s of %j', (name, answer, reference, score) => {
  const checks = checksOf({ checks: answerCheckNames, pattern: '^\\d+', max_samples: 1, max_new_tokens: 1 });
  expect(checks.get(name)?.(answer, reference)).toBe(score);
});

const readingOf = () => undefined;

test('the prompt of a sample is what comes before its last answer', () => {
  /** @param flags `a` starts an answer, `1` is trained */
  const example = (flags: string) => ({
    ids: Int32Array.from(flags, (_, i) => i),
    train: Uint8Array.from(flags, flag => Number(flag !== '0')),
    answers: [...flags].flatMap((flag, i) => (flag === 'a' ? [i] : [])),
    file: 'a.jsonl',
    line: 1,
  });
  const tokenizer = { decode: (ids: readonly number[]) => ids.join(' ') };
  // Two consecutive answers, the second as one token; and a trained turn of another role after an answer.
  const examples = ['00a1', '0a100a110', '1111', '0000', '0a11', '0a1a100', '0a011'].map(example);
  const { prompts, withoutPrompt } = promptsOf(examples, { tokenizer, readingOf, count: 10, seed: 0 });
  expect(prompts.map(({ prompt, reference, trained }) => [prompt, reference, trained])).toEqual([
    ['0 1', '2 3', 1],
    ['0 1 2 3 4', '5 6 7', 2],
    ['0', '1 2 3', 1],
    ['0 1 2', '3 4', 2],
    ['0', '1', 1],
  ]);
  expect(withoutPrompt).toBe(2);
  const drawn = (seed: number) => promptsOf(examples, { tokenizer, readingOf, count: 2, seed }).prompts;
  expect(drawn(1)).toHaveLength(2);
  expect(drawn(1)).toEqual(drawn(1));
});
