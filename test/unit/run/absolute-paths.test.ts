/** Tests that the recipe in a run folder means the same wherever it is read. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { withAbsolutePaths } from '../../../trainer/run/absolute-paths.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'rowtune-paths-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const TEXT = `model: ${path.basename(folder)}
data: {train: [a.jsonl, ../b.jsonl], eval: /far/c.jsonl}
importance: {scores: s.safetensors}
benchmarks: {boolq: q.jsonl}
`;

test('every path is absolute, a name on the hub stays', () => {
  const { recipe } = parseRecipe(TEXT);
  if (!recipe) throw new Error('the recipe is not read');
  const above = path.dirname(folder);
  const { model, data, importance, benchmarks } = withAbsolutePaths(recipe, above);
  expect(model).toBe(folder);
  expect(data.train).toEqual([path.join(above, 'a.jsonl'), path.join(path.dirname(above), 'b.jsonl')]);
  expect(data.eval).toEqual([path.resolve('/far/c.jsonl')]);
  expect(importance.scores).toBe(path.join(above, 's.safetensors'));
  expect(benchmarks).toEqual({ boolq: path.join(above, 'q.jsonl') });
  expect(withAbsolutePaths({ ...recipe, model: 'org/name' }, above).model).toBe('org/name');
});
