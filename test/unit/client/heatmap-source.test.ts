/** Tests the layers and the budget that a heatmap shows for a run: parts of fused matrices as separate layers, and the run's budget. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readSource } from '../../../client/pages/heatmap-source.ts';
import { openScoreSets } from '../../../trainer/importance/score-sets.ts';
import { saveScores } from '../../../trainer/importance/scores-file.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { RUN_FILES } from '../../../trainer/protocol/run/run-files.ts';
import { writeRunRecipe } from '../../../trainer/run/run-folder.ts';
import { byColumns } from '../../../trainer/selection.ts';
import { methodSettings } from '../../../trainer/train/recipe-settings.ts';
import { eightBlocks } from '../../support/models/llama-sizes.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'rowtune-sections-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('queries, keys and values of one matrix', async () => {
  const model = loadModel({ ...eightBlocks, num_hidden_layers: 1, architectures: ['Phi3ForCausalLM'] });
  const modules = model.modules.filter(({ kind, part }) => kind === 'linear' && part !== 'head');
  const scores = new Map(modules.map(({ name, weight }) => [name, Float32Array.from({ length: weight.shape[0] as number }, (_, i) => i)]));
  const origin = { measure: 'magnitude', base: 'x', seed: 0, samples: 0, exact: true };
  await saveScores(path.join(folder, RUN_FILES.scores), { scores }, origin, modules);
  const fused = 'model.layers.0.self_attn.qkv_proj';
  writeFileSync(path.join(folder, RUN_FILES.selection), JSON.stringify({ [fused]: [1, 15, 16, 30] }));
  const { info } = await readSource({ path: folder, label: 'run' });
  expect(info.modules.map(({ name, shape }) => [name.replace('model.layers.0.', ''), shape])).toEqual([
    ['self_attn.qkv_proj.q_proj', [16, 16]],
    ['self_attn.qkv_proj.k_proj', [8, 16]],
    ['self_attn.qkv_proj.v_proj', [8, 16]],
    ['self_attn.o_proj', [16, 16]],
    ['mlp.gate_up_proj.gate_proj', [24, 16]],
    ['mlp.gate_up_proj.up_proj', [24, 16]],
    ['mlp.down_proj', [16, 24]],
  ]);
  expect(info.selection).toEqual([
    { module: `${fused}.q_proj`, rows: Int32Array.of(1, 15) },
    { module: `${fused}.k_proj`, rows: Int32Array.of(0) },
    { module: `${fused}.v_proj`, rows: Int32Array.of(6) },
  ]);
  const file = await openScoreSets(path.join(folder, RUN_FILES.scores));
  expect(await file.read('', `${fused}.k_proj`)).toEqual(Float32Array.from({ length: 8 }, (_, i) => 16 + i));
  await file.close();
});

test('scores and selection of columns are shown apart from rows', async () => {
  const run = path.join(folder, 'columns');
  mkdirSync(run);
  const module = 'model.layers.0.mlp.down_proj';
  const origin = { measure: 'random', base: '', seed: 0, samples: 0, exact: false, unit: 'columns' } as const;
  const units = [byColumns({ name: module, weight: { name: `${module}.weight`, shape: [16, 24] } })];
  await saveScores(path.join(run, RUN_FILES.scores), { scores: new Map([[module, new Float32Array(24)]]) }, origin, units);
  const covered = { module, rows: 24, trainedRows: 2, unit: 'columns', parameters: 384, trainable: 32 };
  writeFileSync(path.join(run, RUN_FILES.coverage), JSON.stringify({ method: 'spsft', parameters: 384, modules: [covered] }));
  writeFileSync(path.join(run, RUN_FILES.selection), JSON.stringify({ [module]: [3, 23] }));
  const shown = `${module} columns`;
  const { info } = await readSource({ path: run, label: 'run' });
  expect(info.modules).toEqual([{ name: shown, shape: [24, 16], unit: 'columns', rowParameters: 16 }]);
  expect(info.selection).toEqual([{ module: shown, rows: Int32Array.of(3, 23) }]);
  rmSync(path.join(run, RUN_FILES.scores));
  const { info: unscored } = await readSource({ path: run, label: 'run' });
  expect(unscored.modules).toEqual([{ name: shown, shape: [24], unit: 'columns', rowParameters: 16 }]);
  expect(unscored.selection).toEqual(info.selection);
});

test.each([
  ['r: 9', { r: 9 }],
  ['ratio: 0.1', { ratio: 0.1 }],
  ['r: 9\ndependencies: true', { r: 5 }],
  ['r: 1\ndependencies: true', { r: 1 }],
  ['ratio: 0.1\ndependencies: true', { ratio: 0.05 }],
  ['method: lora\nr: 8', undefined],
])('the budget of %j is what the run trains', async (settings, budget) => {
  const { recipe } = parseRecipe(`model: m\n${settings}\ndata: {train: a.jsonl}\n`);
  if (recipe === undefined) throw new Error('the recipe is wrong');
  const run = path.join(folder, settings.replaceAll(/\W/g, ''));
  mkdirSync(run);
  await writeRunRecipe(run, recipe);
  const { info } = await readSource({ path: run, label: 'run' });
  expect(info.budget).toEqual(budget);
  if (budget !== undefined) expect(info.budget).toEqual(methodSettings(recipe).budget);
});
