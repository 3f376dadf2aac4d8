/** Tests that the table of diagnostics describes each code of the linter, and no others. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { diagnosticOf, diagnosticSections } from '../../../trainer/lint/diagnostics/diagnostics.ts';
import { ignoreCodes } from '../../../trainer/lint/ignore-comments.ts';
import { configCodes } from '../../../trainer/lint/problems/config-codes.ts';
import { factCodes } from '../../../trainer/lint/problems/fact-report.ts';
import { recipeRules } from '../../../trainer/protocol/recipe/rules/recipe-rules.ts';

/** The codes of the parser, from its fixtures. */
const fixtures = readFileSync(path.join(import.meta.dirname, '..', 'protocol', 'recipe-fixtures.txt'), 'utf8');
const parserCodes = [...fixtures.matchAll(/^\s*\^+ (?:error|warning|info) ([\w-]+)/gm)].map(([, code]) => code);

it('each code is described once', () => {
  const codes = new Set([...parserCodes, ...recipeRules.map(({ code }) => code), ...factCodes, ...configCodes, ...ignoreCodes]);
  // A document of this size is not in a fixture.
  codes.add('too-large');
  const described = diagnosticSections.flatMap(({ diagnostics }) => Object.keys(diagnostics));
  expect([...described].sort()).toEqual([...codes].sort());
});

it('a description is made of sentences', () => {
  const texts = diagnosticSections
    .flatMap(({ diagnostics }) => Object.values(diagnostics))
    .flatMap(({ about, fix }) => [about, fix ?? '.']);
  expect(texts.filter(text => !text.endsWith('.'))).toEqual([]);
  expect(diagnosticOf('no-such-code')).toBeUndefined();
});
