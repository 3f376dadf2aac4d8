/** docs/diagnostics.md has one section for each code, and none for a code that does not exist. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { configCodes } from '../../../trainer/lint/problems/config-codes.ts';
import { factCodes } from '../../../trainer/lint/problems/fact-problems.ts';
import { recipeRules } from '../../../trainer/protocol/recipe-rules.ts';

const root = path.join(import.meta.dirname, '..', '..', '..');
const sections = [...readFileSync(path.join(root, 'docs', 'diagnostics.md'), 'utf8').matchAll(/^## (.+)$/gm)].map(([, code]) => code);

/** The codes of the parser itself, as its fixtures show them. */
const fixtures = readFileSync(path.join(root, 'test', 'unit', 'protocol', 'recipe-fixtures.txt'), 'utf8');
const parserCodes = [...fixtures.matchAll(/^\s*\^+ (?:error|warning|info) ([\w-]+)/gm)].map(([, code]) => code);

it('each code has its section', () => {
  const codes = new Set([...parserCodes, ...recipeRules.map(({ code }) => code), ...factCodes, ...configCodes]);
  // A document of this size is not written into a fixture.
  codes.add('too-large');
  expect([...sections].sort()).toEqual([...codes].sort());
});
