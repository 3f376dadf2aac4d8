/** Tests that every recipe in examples/ is valid, without warnings. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { formatProblems } from '../../../trainer/protocol/problem.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';

const folder = path.join(import.meta.dirname, '..', '..', '..', 'examples');
const recipes = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.rowtune.yaml'));

test('there are examples of each method and kind of data', () =>
  expect(recipes).toEqual(
    expect.arrayContaining([
      'alpaca.rowtune.yaml',
      'continue-pretraining.rowtune.yaml',
      'lora.rowtune.yaml',
      'reranker.rowtune.yaml',
      'spam.rowtune.yaml',
      'thumbs.rowtune.yaml',
    ]),
  ));

test.each(recipes)('%s', name => {
  const text = readFileSync(path.join(folder, name), 'utf8');
  const { problems, recipe } = parseRecipe(text, { fileName: name });
  expect(formatProblems(problems, name, text)).toBe('');
  expect(recipe).toBeDefined();
});
