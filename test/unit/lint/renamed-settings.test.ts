/** Tests settings under another name: the message and the fix agree, and fixing all problems writes the new name. */
import { expect, test } from 'vitest';
import { fixDocument } from '../../../trainer/lint/lint.ts';
import { quickFixes } from '../../../trainer/lint/quick-fixes.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';

test('quantise is renamed to quantize, and the comment stays', () => {
  const text = 'model: m\nmethod: lora\nr: 8\nquantise: 4bit # half a byte\n';
  const messages = parseRecipe(text).problems.map(({ message }) => message);
  expect(messages).toContain("'quantise' is called 'quantize' here");
  expect(fixDocument({ text, file: 'a.rowtune.yaml' })).toBe('model: m\nmethod: lora\nr: 8\nquantize: nf4 # half a byte\n');
});

test.each([
  ['dta: {train: b.jsonl}', "there is no setting 'dta'; 'data' is already set, so remove 'dta'"],
  ['base_model: other', "'base_model' is called 'model' here; 'model' is already set, so remove 'base_model'"],
  ['train: b.jsonl', "'train' belongs under 'data'; 'data.train' is already set, so remove 'train'"],
])('%s next to the setting that it means is removed, as the message says', (line, message) => {
  const source = { text: `model: m\ndata: {train: a.jsonl}\n${line}\n`, file: 'a.rowtune.yaml' };
  const { problems } = parseRecipe(source.text);
  expect(problems.map(problem => problem.message)).toEqual([message]);
  expect(quickFixes(source, problems)).toMatchObject([{ title: `Remove '${line.split(':')[0]}'` }]);
});

test('a misspelled key is renamed, as the message says', () => {
  const source = { text: 'model: m\ndta: {train: a.jsonl}\n', file: 'a.rowtune.yaml' };
  const { problems } = parseRecipe(source.text);
  expect(problems.map(({ message }) => message)).toEqual(["there is no setting 'dta'; did you mean 'data'?"]);
  expect(quickFixes(source, problems)).toMatchObject([{ title: "Rename to 'data'" }]);
});
