/** Tests the paper's tables: every row has its recipe, its data is found or named, and its numbers are shown next to ours. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { dataOverrides, findPaperModel } from '../../../trainer/cli/paper/paper-needs.ts';
import { readProgress, resultTable } from '../../../trainer/cli/paper/paper-results.ts';
import { type PaperTable, paperTables } from '../../../trainer/cli/paper/paper-tables.ts';
import { required } from '../../../trainer/narrow.ts';
import { configHeaders } from '../../../trainer/plan/config-headers.ts';
import { estimateRecipe } from '../../../trainer/plan/memory/predict.ts';
import { formatProblems } from '../../../trainer/protocol/problem.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { llama2Of7b } from '../../support/models/llama-sizes.ts';
import { recipeIn } from '../../support/runs/recipe-of.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'rowtune-paper-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const places = { models: path.join(folder, 'models'), data: path.join(folder, 'data'), cacheDir: path.join(folder, 'cache') };
const examples = path.join(import.meta.dirname, '..', '..', '..', 'examples', 'paper');
const tableOf = (number: number): PaperTable =>
  required(
    paperTables.find(one => one.number === number),
    `table ${number}`,
  );

describe.each(paperTables)('table $number', ({ number, rows, benchmarks = false }) => {
  test('each row is a recipe without a problem, and has a name of its own', () => {
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
    for (const { recipe, data, overrides = [] } of rows) {
      const file = path.join(examples, `table-${number}`, `${recipe}.rowtune.yaml`);
      const text = readFileSync(file, 'utf8');
      const needs = dataOverrides(data, benchmarks, places);
      const { problems } = parseRecipe(text, { fileName: file, overrides: [...needs.overrides, ...overrides] });
      expect(formatProblems(problems, file, text)).toBe('');
    }
  });
});

test('models and data are found in their folders, and missing ones are named', async () => {
  expect(await findPaperModel('deit', places)).toBeUndefined();
  const model = path.join(places.models, 'deit-base-patch16-224');
  mkdirSync(model, { recursive: true });
  writeFileSync(path.join(model, 'config.json'), '{}');
  expect(await findPaperModel('deit', places)).toBe(model);
  expect(dataOverrides('cola', false, places).missing.map(({ file }) => path.relative(places.data, file))).toEqual([
    path.join('CoLA', 'train.tsv'),
    path.join('CoLA', 'dev.tsv'),
  ]);
  expect(dataOverrides('alpaca', true, places).missing).toHaveLength(8);
});

test('held-out data is that of the paper: a file, a share of Caltech-101, none for Alpaca', () => {
  const heldOf = (key: Parameters<typeof dataOverrides>[0]) =>
    dataOverrides(key, false, places).overrides.filter(one => /^(data\.eval|val_size)/.test(one));
  expect(heldOf('cifar100')).toEqual([`data.eval=${JSON.stringify(path.join(places.data, 'cifar-100-binary', 'test.bin'))}`]);
  expect(heldOf('caltech101')).toEqual(['data.eval=', 'val_size=0.2']);
  expect(heldOf('alpaca')).toEqual(['data.eval=', 'val_size=0']);
});

test("GLUE is also found as the hub's Parquet files", () => {
  for (const name of ['train', 'validation_matched', 'validation_mismatched', 'test_matched']) {
    mkdirSync(path.join(places.data, 'mnli'), { recursive: true });
    writeFileSync(path.join(places.data, 'mnli', `${name}-00000-of-00001.parquet`), '');
  }
  const { overrides, missing } = dataOverrides('mnli', false, places);
  expect(missing).toEqual([]);
  expect(overrides).toEqual([
    `data.train=${JSON.stringify(path.join(places.data, 'mnli', 'train-00000-of-00001.parquet'))}`,
    `data.eval=${JSON.stringify(path.join(places.data, 'mnli', 'validation_matched-00000-of-00001.parquet'))}`,
  ]);
});

test('numbers of a finished run are shown next to those of the paper', async () => {
  const cola = required(
    tableOf(7).rows.find(({ id }) => id === 'cola-spsft'),
    'the row',
  );
  const runDir = path.join(folder, 'run');
  expect(await readProgress(runDir, cola, false)).toEqual({ state: 'new' });
  mkdirSync(runDir);
  const state = { state: 'finished', name: 'x', step: 1, totalSteps: 1, pid: 1, startedAt: '2026-01-01', updatedAt: '2026-01-01' };
  writeFileSync(path.join(runDir, 'state.json'), JSON.stringify(state));
  const after = { loss: 1, labels: { accuracy: 0.9 }, measures: { matthews: 0.6543 } };
  const summary = { state: 'finished', runDir, steps: 1, after, trainable: 9_250_000, memory: null, secondsPerStep: 1 };
  writeFileSync(path.join(runDir, 'summary.json'), JSON.stringify(summary));
  const { state: found, values } = await readProgress(runDir, cola, false);
  expect(found).toBe('finished');
  expect(values).toMatchObject({ quality: expect.closeTo(65.43, 6), trained: 9.25 });
  expect(await readProgress(runDir, cola, true)).toMatchObject({ state: 'benchmarks' });
  const lines = resultTable({ ...tableOf(7), rows: [cola] }, new Map([[cola.id, values ?? {}]])).split('\n');
  expect(lines[1]?.split(/\s{2,}/)).toEqual(['cola, spsft', '65.56', '65.43', '–', '9.25']);
});

test("the paper's parameter counts are those of the recipes, computed from config.json alone", async () => {
  const model = path.join(folder, 'llama-2');
  mkdirSync(model);
  writeFileSync(path.join(model, 'config.json'), JSON.stringify(llama2Of7b));
  const headers = await configHeaders(model);
  for (const { recipe: name, overrides = [], paper } of tableOf(8).rows) {
    const text = readFileSync(path.join(examples, 'table-8', `${name}.rowtune.yaml`), 'utf8');
    const recipe = recipeIn(text, { overrides: [...dataOverrides('alpaca', false, places).overrides, ...overrides] });
    const { trainable } = estimateRecipe({ recipe, headers, allLevels: false, compare: false });
    expect(trainable / 1e6).toBeCloseTo(paper.trained ?? 0, 0);
  }
});
