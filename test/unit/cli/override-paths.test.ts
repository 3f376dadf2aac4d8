/** Tests that overrides name files as the shell does: relative to the current folder, wherever the recipe is. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { absoluteOverrides } from '../../../trainer/cli/override-paths.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'rowtune-overrides-'));
mkdirSync(path.join(folder, 'models', 'tiny'), { recursive: true });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const RECIPE = 'model: model\ndata: { train: own.jsonl, eval: held.jsonl }\nbenchmarks: { boolq: own.json }\noutput_dir: own-runs/a\n';
const read = (...overrides: string[]) => parseRecipe(RECIPE, { overrides: absoluteOverrides(overrides, folder) }).resolved;
const here = (name: string): string => path.join(folder, name);

test.each([
  ['data.train=a.jsonl', { data: { train: [here('a.jsonl')], eval: ['held.jsonl'] }, output_dir: 'own-runs/a' }],
  ['data.train=[a.jsonl, /b.jsonl]', { data: { train: [here('a.jsonl'), '/b.jsonl'] } }],
  ['data={train: a.jsonl, eval: b.jsonl}', { data: { train: [here('a.jsonl')], eval: [here('b.jsonl')] } }],
  ['output_dir=runs/a', { output_dir: here('runs/a'), data: { train: ['own.jsonl'] } }],
  ['importance.scores=../s.safetensors', { importance: { scores: path.join(path.dirname(folder), 's.safetensors') } }],
  ['benchmarks.arc_easy=e.json', { benchmarks: { boolq: 'own.json', arc_easy: here('e.json') } }],
  ['model=models/tiny', { model: here('models/tiny') }],
  ['model=./missing', { model: here('missing') }],
  ['model=org/on-the-hub', { model: 'org/on-the-hub' }],
  ['learning_rate=1e-3', { learning_rate: 1e-3, model: 'model' }],
  ['data.train=null', { data: { train: [] } }],
])('%s', (override, expected) => expect(read(override)).toMatchObject(expected));

test('a path with what YAML reads as something else stays a path', () => {
  expect(read("data.train='a: b #c.jsonl'")).toMatchObject({ data: { train: [here('a: b #c.jsonl')] } });
});

test('malformed overrides are left to the parser, which names them as they were written', () => {
  const overrides = absoluteOverrides(['data.train=[', 'nonsense', 'output_dir=ok'], folder);
  const problems = parseRecipe(RECIPE, { overrides }).problems.map(({ override }) => override);
  expect(problems).toContain('data.train=[');
  expect(problems).toContain('nonsense');
  expect(overrides.at(-1)).toBe(`output_dir="${here('ok')}"`);
});
