/** Recipes with their problems written below the bad values. UPDATE_FIXTURES=1 rewrites the notes; read the diff before you commit it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { checkRecipe } from './check-recipe.ts';

const file = new URL('recipe-fixtures.txt', import.meta.url);
const [preface = '', ...sections] = readFileSync(file, 'utf8').split(/^=== /m);
const fixtures = sections.map(section => {
  const end = section.indexOf('\n');
  return { title: section.slice(0, end), body: section.slice(end + 1).replace(/\n+$/, '') };
});

if (process.env.UPDATE_FIXTURES === '1') {
  writeFileSync(file, preface + fixtures.map(({ title, body }) => `=== ${title}\n${checkRecipe(body)}\n`).join('\n'));
}

describe('problems stand under the bad value', () => {
  test.each(fixtures)('$title', ({ body }) => {
    expect(checkRecipe(body)).toBe(body);
  });
  test('there are many of them, with distinct titles', () => {
    expect(new Set(fixtures.map(({ title }) => title)).size).toBeGreaterThan(60);
  });
});
