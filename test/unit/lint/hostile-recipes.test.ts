/** Tests recipes made to exhaust their reader: a bounded number of problems and steps, a position for each problem, and no exception. */
import { describe, expect, test } from 'vitest';
import { conversion, fixAll, fixedText, quickFixes } from '../../../trainer/lint/quick-fixes.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { hostileRecipes } from '../../support/hostile-recipes.ts';

const file = '/ada/a.rowtune.yaml';

describe.each(Object.entries(hostileRecipes))('%s', (_, text) => {
  test('has a few problems with places, and its fixes are found', () => {
    const { problems } = parseRecipe(text, { fileName: file });
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.length).toBeLessThanOrEqual(501);
    expect(quickFixes({ text, file }, problems).length).toBeLessThanOrEqual(30);
    const fixed = fixedText({ text, file });
    expect(fixed.length).toBeLessThan(1_000_000);
    expect(fixAll({ text, file }) === undefined).toBe(fixed === text);
  });
});

test.each([
  ['brackets', 64],
  ['dashes', 128],
])('%s nested too deeply are reported at their place', (name, column) => {
  const { problems } = parseRecipe(hostileRecipes[name] ?? '');
  expect(problems.find(({ code }) => code === 'too-large')).toMatchObject({
    code: 'too-large',
    message: 'nested deeper than 64 levels',
    range: { start: { line: 0, column } },
  });
});

test('brackets in texts and comments nest nothing', () => {
  const text = `model: m # ${'['.repeat(100)}\ndata: {train: a.jsonl, prompt: "${'{'.repeat(100)} {prompt}"}\nname: x\n`;
  expect(parseRecipe(text).problems.map(({ code }) => code)).not.toContain('too-large');
  const block = `model: m\ndata:\n  train: a.jsonl\n  prompt: |\n    ${'[ - { '.repeat(50)}\n    {prompt}\n`;
  expect(parseRecipe(block).problems.map(({ code }) => code)).not.toContain('too-large');
});

test('errors are listed before what may stay, whatever their order', () => {
  const text = `target_modules: [${'1e55, '.repeat(700)}]\ndata: {train: a.jsonl}\nmodel: m\nseeds: 1\n`;
  const { recipe, problems } = parseRecipe(text);
  expect(recipe).toBeUndefined();
  expect(problems.map(({ code }) => code)).toContain('unknown-key');
  expect(problems.filter(({ message }) => message.endsWith('more problems are not listed: fix these first'))).toHaveLength(1);
});

test('thousands of fixes of one kind are made at once; two keys do not become the same one', () => {
  const text = `model: m\ndata: {train: a.jsonl}\nnum_epochs: 2\nepochs: 3\nlr: 1e-4\n`;
  const keys = fixedText({ text, file })
    .split('\n')
    .map(line => line.split(':')[0]);
  expect(new Set(keys.filter(Boolean)).size).toBe(keys.filter(Boolean).length);
});

test('references of another tool do not multiply without bound', () => {
  const converted = conversion({ text: hostileRecipes.references ?? '', file });
  expect(converted?.text.length).toBeLessThan(1_000_000);
});
