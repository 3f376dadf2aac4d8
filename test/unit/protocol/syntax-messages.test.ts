/** Tests the messages for frequent mistakes in YAML: each is named once, in words that say what to do. */
import { expect, test } from 'vitest';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';

const syntaxOf = (text: string): readonly [line: number, message: string][] =>
  parseRecipe(text, { fileName: 'a.rowtune.yaml' })
    .problems.filter(({ code }) => code === 'invalid-yaml')
    .map(({ range, message }) => [range?.start.line ?? -1, message]);

test('a line that is indented below a key with a value', () => {
  expect(syntaxOf('model: a\n  r: 4\nmethod: spsft\n')).toEqual([
    [0, 'this key has a value, but the next line is indented below it: align the two keys'],
  ]);
});

test('a value that looks like a key', () => {
  expect(syntaxOf('model: a\nname: b: c\n')).toEqual([[1, "': ' inside a value looks like another key: put the value in quotes"]]);
});

test('lines that are not aligned', () => {
  const message = 'this line is not aligned with those before it: lines of one group have the same indentation';
  expect(syntaxOf('data:\n    train: a\n  eval: b\n')).toEqual([[2, message]]);
});

test.each([
  ['a list', 'target_modules:\n  - a\n - b\n'],
  ['a list two levels deep', 'data:\n  train:\n    - a\n  - b\n'],
  ['a list and a value', 'target_modules:\n  - a\n  b\n'],
])('%s that is not aligned is one mistake', (_, text) => {
  const message = 'this line is not aligned with those before it: lines of one group have the same indentation';
  expect(syntaxOf(text)).toEqual([[text.split('\n').length - 2, message]]);
});

test.each([
  ['{', '}', 'data: {train: a\nr: 4\n', 1],
  ['{', '}', 'data: {\ntrain: a}\n', 1],
  ['{', '}', 'data: {train: a, eval: b]\nr: 4\n', 0],
  ['[', ']', 'target_modules: [a, b\nr: 4\n', 1],
])('%s without %s, or with a line that is not indented: %j', (open, close, text, line) => {
  expect(syntaxOf(text)).toEqual([[line, `the '${open}' before this is not closed: add '${close}', and indent every line between them`]]);
});

test('entries without a comma', () => {
  expect(syntaxOf('data: {train: a eval: b}\n')).toEqual([
    [0, 'entries inside brackets are not separated: put a comma between them, or the text in quotes'],
  ]);
});

test('other errors are those of the library', () => {
  expect(syntaxOf('data: {train: a}}\n')).toEqual([[0, expect.stringContaining('Unexpected flow-map-end')]]);
});
