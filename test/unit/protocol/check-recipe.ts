/**
 * The only helper through which recipe fixtures use the parser. A fixture is a recipe with, under each line, the problems of that line:
 * carets, severity, code and the fix. Lines that start with `$ ` are command-line overrides.
 */

import type { Problem } from '../../../trainer/protocol/problem.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';

const isNote = (line: string): boolean => /^\s*\^+ (?:error|warning|info) /.test(line);

/** Removes the notes, parses, and writes the correct notes. */
export function checkRecipe(fixture: string): string {
  const lines = fixture.split('\n').filter(line => !isNote(line));
  const isOverride = (line: string): boolean => line.startsWith('$ ');
  const recipe = lines.filter(line => !isOverride(line));
  const overrides = lines.filter(isOverride);
  const { problems } = parseRecipe(recipe.join('\n'), {
    fileName: 'fixture.rowtune.yaml',
    overrides: overrides.map(line => line.slice(2)),
  });
  const ofFile = recipe.flatMap((line, index) => [
    line,
    ...problems.filter(({ override, range }) => override === undefined && range.start.line === index).map(found => note(found, line, 0)),
  ]);
  const ofOverrides = overrides.flatMap(line => [
    line,
    ...problems.filter(({ override }) => override === line.slice(2)).map(found => note(found, line, 2)),
  ]);
  return [...ofFile, ...ofOverrides].join('\n');
}

function note({ range, severity, code, suggestion }: Problem, line: string, shift: number): string {
  const end = range.end.line === range.start.line ? range.end.column + shift : line.length;
  const start = range.start.column + shift;
  const wayOut = suggestion === undefined ? '' : ` ${suggestion.kind}${'to' in suggestion ? ` ${suggestion.to}` : ''}`;
  return `${' '.repeat(start)}${'^'.repeat(Math.max(1, end - start))} ${severity} ${code}${wayOut}`;
}
