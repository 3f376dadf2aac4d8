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

test('other errors are those of the library', () => {
  expect(syntaxOf('data: {train: a\n')).toHaveLength(1);
});
