/** Tests that the columns of a recipe are written where they belong, and nothing else of its text changes. */
import { describe, expect, test } from 'vitest';
import { objectiveCatalog, objectiveNames } from '../../../trainer/catalog/objectives.ts';
import { rolesOf } from '../../../trainer/protocol/recipe/column-roles.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { setColumns } from '../../../trainer/protocol/recipe/set-columns.ts';
import { applyChange } from '../../support/apply-change.ts';

const written = (text: string, columns: Readonly<Record<string, string>>): string => applyChange(text, setColumns(text, columns));

const head = 'model: m # the base\n';
test.each([
  [
    'a block',
    `${head}data:\n  # mails\n  train: a.csv\nr: 8\n`,
    `${head}data:\n  # mails\n  columns: {text: body}\n  train: a.csv\nr: 8\n`,
  ],
  ['one line', `${head}data: {train: a.csv}\n`, `${head}data: {columns: {text: body}, train: a.csv}\n`],
  [
    'columns that are there',
    `${head}data:\n  columns: {text: x, label: y}\n  train: a.csv\n`,
    `${head}data:\n  columns: {text: body}\n  train: a.csv\n`,
  ],
  ['JSON', '{"model": "m", "data": {"train": "a.csv"}}', '{"model": "m", "data": {"columns": {"text": "body"}, "train": "a.csv"}}'],
])('%s', (_, before, after) => {
  expect(written(before, { text: 'body' })).toBe(after);
  expect(parseRecipe(after).recipe?.data.columns).toEqual({ text: 'body' });
});

test('names that YAML would read as something else are quoted; no mapping clears one, and is not written where there is none', () => {
  const columns = { text: '#1 String', label: 'no' };
  const text = written('model: m\ndata:\n  train: a.csv\n', columns);
  expect(parseRecipe(text).recipe?.data.columns).toEqual(columns);
  expect(written(text, {})).toContain('columns: {}');
  expect(setColumns('model: m\ndata:\n  train: a.csv\n', {})).toBeUndefined();
  expect(setColumns('model: m\n', { text: 'x' })).toBeUndefined();
});

describe('a recipe takes every column that the page offers to map', () => {
  test.each(objectiveNames)('%s', task => {
    for (const role of rolesOf(objectiveCatalog[task])) {
      const { problems } = parseRecipe(`model: m\ntask: ${task}\ndata: {train: a.csv, columns: {${role}: theirs}}\n`);
      expect(problems.filter(({ path }) => path.includes('columns'))).toEqual([]);
    }
  });
});
