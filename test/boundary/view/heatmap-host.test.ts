/** Tests the heatmap's host with real score files and run folders: what it sends, what it sends again, and what it rejects. */

import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { connectHeatmap } from '../../../client/pages/heatmap-host.ts';
import { partialScores } from '../../../trainer/importance/partial-scores.ts';
import { type ScoresOrigin, saveScores } from '../../../trainer/importance/scores-file.ts';
import type { ModuleSpec } from '../../../trainer/model/module-specs.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { stringifyRecipe } from '../../../trainer/protocol/recipe/stringify-recipe.ts';
import type { HeatmapFromPage, HeatmapSource, HeatmapSourceInfo, HeatmapToPage } from '../../../trainer/protocol/view/heatmap.ts';
import { connectTo, startTestDaemon } from '../../support/daemon/daemon.ts';
import { jobRecord } from '../../support/daemon/job-record.ts';
import { until } from '../../support/machine/until.ts';
import { openTestPage, type TestPage, type TestServices, testServices } from '../../support/pages/page-host.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-heatmap-'));
const file = join(folder, 'one.scores.safetensors');
const classFile = join(folder, 'classes.scores.safetensors');
const runDir = join(folder, 'runs', 'tried');
const module = (name: string, rows: number, bias = false): ModuleSpec => ({
  name,
  kind: 'linear',
  part: 'mlp',
  layer: 0,
  weight: { name: `${name}.weight`, shape: [rows, 3] },
  ...(bias ? { bias: { name: `${name}.bias`, shape: [rows] } } : {}),
});
const modules = [module('m.layers.0.up_proj', 4, true), module('m.layers.1.up_proj', 5)];
const scoresOf = (factor: number) =>
  new Map(modules.map(({ name, weight }) => [name, Float32Array.from({ length: weight.shape[0] as number }, (_, i) => factor * (i + 1))]));
const origin: ScoresOrigin = { measure: 'taylor', base: 'of these weights', seed: 1, samples: 8, exact: false };

beforeAll(async () => {
  await saveScores(file, { scores: scoresOf(1) }, origin, modules);
  const classes = {
    names: ['ham', 'spam'],
    counts: [4, 4],
    scores: new Map(modules.map(({ name, weight }) => [name, Float32Array.from({ length: 2 * (weight.shape[0] as number) }, (_, i) => i)])),
  };
  await saveScores(
    classFile,
    { scores: scoresOf(2), classes },
    {
      ...origin,
      measure: 'qm_taylor',
      classes: [
        { name: 'ham', samples: 4 },
        { name: 'spam', samples: 4 },
      ],
    },
    modules,
  );
  mkdirSync(runDir, { recursive: true });
  const { recipe } = parseRecipe('model: m\nr: 2\ndata: {train: t.jsonl}\n', { fileName: 'x.rowtune.yaml' });
  if (!recipe) throw new Error('the recipe of the test is wrong');
  writeFileSync(join(runDir, 'recipe.yaml'), stringifyRecipe(recipe));
  await saveScores(join(runDir, 'scores.safetensors'), { scores: scoresOf(3) }, origin, modules);
  writeFileSync(join(runDir, 'selection.json'), JSON.stringify({ 'm.layers.0.up_proj': [1, 3], 'm.layers.1.up_proj': [3, 4] }));
  writeFileSync(
    join(runDir, 'coverage.json'),
    JSON.stringify({ parameters: 1000, modules: [{ module: 'm.layers.0.up_proj', rows: 4, parameters: 16 }] }),
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

class Page {
  readonly services: TestServices;
  readonly host: TestPage<HeatmapToPage>;

  constructor(sources: readonly HeatmapSource[], services = testServices()) {
    this.services = services;
    this.host = openTestPage(connectHeatmap, { state: { kind: 'heatmap', sources }, services: this.services });
  }

  get messages(): HeatmapToPage[] {
    return this.host.posted;
  }
  send(message: HeatmapFromPage | Record<string, unknown>): void {
    this.host.receive(message);
  }
  of<Type extends HeatmapToPage['type']>(type: Type): Extract<HeatmapToPage, { type: Type }>[] {
    return this.messages.filter((message): message is Extract<HeatmapToPage, { type: Type }> => message.type === type);
  }
  calls(name: string): unknown[] {
    return this.services.calls.flatMap(([called, value]) => (called === name ? [value] : []));
  }
  async sources(): Promise<readonly HeatmapSourceInfo[]> {
    this.send({ type: 'ready' });
    await until(() => this.of('sources').length > 0, 'the sources');
    return this.of('sources').at(-1)?.sources ?? [];
  }
  async scores(path: string, key = ''): Promise<Map<string, number[]>> {
    this.messages.length = 0;
    this.send({ type: 'want', sets: [{ path, key }] });
    await until(() => this.of('scores').some(({ isLast }) => isLast), 'the scores');
    return new Map(this.of('scores').flatMap(({ modules: sent }) => sent.map(({ name, scores }) => [name, [...scores]] as const)));
  }
}

const open: Page[] = [];
const openPage = (...paths: string[]): Page => openSources(paths.map(path => ({ path, label: path.slice(folder.length + 1) })));
function openSources(sources: readonly HeatmapSource[]): Page {
  const page = new Page(sources);
  open.push(page);
  return page;
}
afterEach(() => {
  for (const page of open.splice(0)) page.host.dispose();
});

describe('a file of scores', () => {
  test('shows the measure, modules with shapes, and the files in its folder', async () => {
    const page = openPage(file);
    const [source] = await page.sources();
    expect(source).toMatchObject({
      kind: 'scores',
      sets: [{ key: '', measure: 'taylor' }],
      modules: [
        { name: 'm.layers.0.up_proj', shape: [4, 3], rowParameters: 4 },
        { name: 'm.layers.1.up_proj', shape: [5, 3], rowParameters: 3 },
      ],
      samples: 8,
      isPartial: false,
    });
    expect(source?.problem).toBeUndefined();
    expect(
      page
        .of('sources')[0]
        ?.candidates.map(({ path }) => path)
        .sort(),
    ).toEqual([classFile, runDir].sort());
    expect(page.host.titles).toEqual(['Heatmap: one.scores.safetensors']);
  });

  test('sends scores on request, as float32 arrays', async () => {
    const page = openPage(file);
    await page.sources();
    expect(page.of('scores')).toEqual([]);
    expect(await page.scores(file)).toEqual(
      new Map([
        ['m.layers.0.up_proj', [1, 2, 3, 4]],
        ['m.layers.1.up_proj', [1, 2, 3, 4, 5]],
      ]),
    );
    expect(page.of('scores')[0]?.modules[0]?.scores).toBeInstanceOf(Float32Array);
  });

  test('with class-wise scores has a set for each class', async () => {
    const page = openPage(classFile);
    const [source] = await page.sources();
    expect(source?.sets).toEqual([
      { key: '', measure: 'qm_taylor', className: undefined },
      { key: '@class:ham', measure: 'qm_taylor', className: 'ham' },
      { key: '@class:spam', measure: 'qm_taylor', className: 'spam' },
    ]);
    expect((await page.scores(classFile, '@class:spam')).get('m.layers.0.up_proj')).toEqual([4, 5, 6, 7]);
  });

  test('that is damaged or missing has a problem, and the other files are shown', async () => {
    const other = join(folder, 'no.safetensors');
    writeFileSync(other, 'no tensors');
    const [bad, missing, good] = await openPage(other, join(folder, 'later.safetensors'), file).sources();
    expect(bad?.problem).toContain('no.safetensors');
    expect(missing?.problem).toContain('has no scores yet');
    expect(good?.problem).toBeUndefined();
  });
});

test('a run has its scores, its selection, its budget and the size of its model', async () => {
  const page = openPage(runDir);
  const [source] = await page.sources();
  expect(source).toMatchObject({ kind: 'run', budget: { r: 2 }, selectionMode: 'per_layer', modelParameters: 1000 });
  expect(source?.selection?.map(({ module: name, rows }) => [name, [...rows]])).toEqual([
    ['m.layers.0.up_proj', [1, 3]],
    ['m.layers.1.up_proj', [3, 4]],
  ]);
  expect((await page.scores(runDir)).get('m.layers.0.up_proj')).toEqual([3, 6, 9, 12]);
});

test('the budget of scores next to their recipe is that of the recipe', async () => {
  const read = async (text: string, ending = 'yaml') => {
    const recipe = join(folder, `one.rowtune.${ending}`);
    writeFileSync(recipe, text);
    const [source] = await openPage(file).sources();
    rmSync(recipe);
    return source;
  };
  expect(await read('model: m\nr: 3\ndata: {train: t.jsonl}\n')).toMatchObject({
    kind: 'scores',
    budget: { r: 3 },
    selectionMode: 'per_layer',
  });
  expect(await read('{"model": "m", "ratio": 0.1, "importance": {"selection": "global"}}', 'json')).toMatchObject({
    budget: { ratio: 0.1 },
    selectionMode: 'global',
  });
  // The rank of LoRA is not a row budget.
  expect((await read('model: m\nmethod: lora\nr: 16\ndata: {train: t.jsonl}\n'))?.budget).toBeUndefined();
  expect((await openPage(file).sources())[0]?.budget).toBeUndefined();
});

test('a run whose method computes no scores is not drawn, and points to its coverage', async () => {
  const lora = join(folder, 'runs', 'lora');
  mkdirSync(lora);
  const { recipe } = parseRecipe('model: m\nmethod: lora\nr: 2\ndata: {train: t.jsonl}\n', { fileName: 'x.rowtune.yaml' });
  if (!recipe) throw new Error('the recipe of the test is wrong');
  writeFileSync(join(lora, 'recipe.yaml'), stringifyRecipe(recipe));
  const modules = [{ module: 'm.layers.0.up_proj', rows: 4, parameters: 16 }];
  writeFileSync(join(lora, 'coverage.json'), JSON.stringify({ parameters: 1000, modules }));
  const page = openPage(lora);
  const [source] = await page.sources();
  expect(source).toMatchObject({ modules: [], sets: [], budget: undefined });
  expect(source?.problem).toMatch(/LoRA, which does not score rows; .* Coverage/);
  // The run is not offered for comparison either.
  const beside = openPage(runDir);
  await beside.sources();
  expect(beside.of('sources')[0]?.candidates.map(({ path }) => path)).not.toContain(lora);
  rmSync(lora, { recursive: true });
});

test('scores that a job will write are no problem, unless the job ends without them', async () => {
  const later = join(folder, 'awaited.scores.safetensors');
  const services = testServices();
  const job = jobRecord({ id: 'scoring', kind: 'importance', title: 'awaited' });
  services.store.put(job);
  const page = new Page([{ path: later, label: 'awaited', jobId: job.id }], services);
  open.push(page);
  const [source] = await page.sources();
  expect(source).toMatchObject({ isAwaited: true, modules: [], problem: undefined });
  services.store.put({ ...job, state: 'failed', endedAt: '2026-01-01T00:01:00Z' });
  services.store.event({ seq: 1, jobId: job.id, event: { type: 'state', state: 'failed' } });
  await until(() => page.of('source').at(-1)?.source.problem !== undefined, 'the problem');
  expect(page.of('source').at(-1)?.source).toMatchObject({ isAwaited: false, problem: expect.stringContaining('has no scores yet') });
  expect(page.of('progress').at(-1)?.message).toBe('The job failed.');
});

test('a page that asked for scores before they existed gets them when their job ends', async () => {
  const later = join(folder, 'at once.scores.safetensors');
  // The end of the job is noticed before the next look at the files.
  const page = new Page([{ path: later, label: 'at once', jobId: 'quick' }], { ...testServices(), updateIntervalMs: () => 2 ** 30 });
  open.push(page);
  await page.sources();
  page.send({ type: 'want', sets: [{ path: later, key: '' }] });
  await saveScores(later, { scores: scoresOf(3) }, origin, modules);
  page.services.store.event({ seq: 1, jobId: 'quick', event: { type: 'state', state: 'succeeded' } });
  await until(() => page.of('scores').some(({ modules: sent }) => sent.length > 0), 'the scores');
});

test('a run shows the saved scores that its recipe names; without scores it shows its selection', async () => {
  const bare = join(folder, 'runs', 'bare');
  mkdirSync(bare);
  writeFileSync(join(bare, 'selection.json'), JSON.stringify({ 'm.layers.0.up_proj': [0] }));
  const [nothing] = await openPage(bare).sources();
  expect(nothing).toMatchObject({ kind: 'run', sets: [], selection: [{ module: 'm.layers.0.up_proj' }] });
  expect(nothing?.problem).toContain('has saved no scores');
  const { recipe } = parseRecipe(`model: m\nimportance: {scores: ${file}}\ndata: {train: t.jsonl}\n`, { fileName: 'x.rowtune.yaml' });
  if (!recipe) throw new Error('the recipe of the test is wrong');
  writeFileSync(join(bare, 'recipe.yaml'), stringifyRecipe(recipe));
  rmSync(join(bare, 'selection.json'));
  const page = openPage(bare);
  const [begun] = await page.sources();
  expect(begun).toMatchObject({ sets: [{ key: '', measure: 'taylor' }], selection: undefined });
  // The rows are chosen after scoring, so the scores do not change.
  writeFileSync(join(bare, 'selection.json'), JSON.stringify({ 'm.layers.0.up_proj': [0] }));
  await until(() => page.of('source').at(-1)?.source.selection !== undefined, 'the selection');
  rmSync(bare, { recursive: true });
});

test('a page gets new scores while they are computed, and all of them at the end', async () => {
  const growing = join(folder, 'growing.scores.safetensors');
  const page = openPage(growing);
  expect((await page.sources())[0]?.problem).toContain('has no scores yet');
  page.send({ type: 'want', sets: [{ path: growing, key: '' }] });
  const partial = partialScores(growing, modules, origin);
  const [first] = [...scoresOf(1)];
  if (!first) throw new Error('no modules');
  await partial.save(new Map([first]));
  await until(() => page.of('scores').some(({ modules: sent }) => sent.length > 0), 'the first module');
  // All modules are listed from the start, so that the grid does not grow.
  expect(page.of('source').at(-1)?.source).toMatchObject({ isPartial: true, modules: [{ name: first[0] }, { name: modules[1]?.name }] });
  page.messages.length = 0;
  await partial.save(new Map([first, [modules[1]?.name ?? '', new Float32Array(5)]]));
  await until(() => page.of('scores').some(({ modules: sent }) => sent.length > 0), 'the second module');
  expect(page.of('scores').flatMap(({ modules: sent }) => sent.map(({ name }) => name))).toEqual([modules[1]?.name]);
  await partial.remove();
  await saveScores(growing, { scores: scoresOf(7) }, origin, modules);
  await until(() => page.of('source').at(-1)?.source.isPartial === false, 'the complete file');
  await until(() => page.of('scores').at(-1)?.modules.length === 2, 'the complete scores');
});

test('scores on another machine are copied, followed, and gone with the page', async () => {
  const daemon = await startTestDaemon();
  const client = await connectTo(daemon);
  const there = join(folder, 'there', 'runs', 'far');
  cpSync(runDir, there, { recursive: true });
  const services = { ...testServices(), isRemote: () => true };
  await services.follow(client);
  const page = new Page([{ path: there, label: 'far' }], services);
  vi.stubEnv('TMPDIR', folder);
  const copies = (): string[] => readdirSync(folder).filter(name => name.startsWith('rowtune-far-'));
  const [source] = await page.sources();
  expect(source).toMatchObject({ path: there, kind: 'run', budget: { r: 2 }, sets: [{ measure: 'taylor' }] });
  expect((await page.scores(there)).get('m.layers.0.up_proj')).toEqual([3, 6, 9, 12]);
  expect(copies()).toHaveLength(1);
  page.messages.length = 0;
  await saveScores(join(there, 'scores.safetensors'), { scores: scoresOf(5) }, origin, modules);
  await until(() => page.of('scores').length > 0, 'the new scores');
  expect(page.of('scores')[0]?.modules[0]?.scores).toEqual(Float32Array.of(5, 10, 15, 20));
  // This also works for saved scores on the other machine.
  const saved = join(folder, 'there', 'runs', 'saved');
  mkdirSync(saved);
  const { recipe } = parseRecipe(`model: m\nimportance: {scores: ${file}}\ndata: {train: t.jsonl}\n`, { fileName: 'x.rowtune.yaml' });
  if (!recipe) throw new Error('the recipe of the test is wrong');
  writeFileSync(join(saved, 'recipe.yaml'), stringifyRecipe(recipe));
  page.send({ type: 'add-source', source: { path: saved, label: 'saved' } });
  await until(() => page.of('sources').some(({ sources }) => sources[1]?.sets.length === 1), 'the saved scores');
  expect(existsSync(join(folder, copies()[0] ?? '', '1', 'saved', 'scores.safetensors'))).toBe(true);
  page.host.dispose();
  await until(() => copies().length === 0, 'no copy is left');
  vi.unstubAllEnvs();
  await expect(client.request('readScores', { path: '/etc/passwd', from: 0 })).rejects.toMatchObject({ code: 'not-scores' });
  client.close();
  await daemon.stop();
});

test('the progress of the job that computes a source is passed on', async () => {
  const page = openSources([{ path: file, label: 'one', jobId: 'job 1' }]);
  page.services.store.event({
    seq: 1,
    jobId: 'job 1',
    event: { type: 'progress', phase: 'importance', done: 3, total: 8, unit: 'batches', secondsLeft: 5 },
  });
  page.services.store.event({
    seq: 2,
    jobId: 'another',
    event: { type: 'progress', phase: 'importance', done: 1, total: 8, unit: 'batches' },
  });
  page.services.store.event({ seq: 3, jobId: 'job 1', event: { type: 'state', state: 'succeeded' } });
  expect(page.of('progress')).toEqual([
    { type: 'progress', path: file, progress: { done: 3, total: 8, unit: 'batches', secondsLeft: 5 }, message: 'scoring' },
    { type: 'progress', path: file, message: '' },
  ]);
});

test('a page opened after a training began to score shows that progress', () => {
  const services = testServices();
  services.store.put(jobRecord({ id: 'job 7', title: 'tried', runDir }));
  const page = new Page([{ path: runDir, label: 'tried' }], services);
  const event = { type: 'progress', phase: 'importance', done: 5, total: 8, unit: 'batches' } as const;
  services.store.event({ seq: 1, jobId: 'job 7', event });
  expect(page.of('progress')).toMatchObject([{ path: runDir, progress: { done: 5, total: 8 } }]);
  page.host.dispose();
});

test('an added source is still there after a reload', async () => {
  const page = openPage(file);
  await page.sources();
  page.messages.length = 0;
  page.send({ type: 'add-source', source: { path: runDir, label: 'tried' } });
  await until(() => page.of('sources').length > 0, 'both sources');
  expect(page.of('sources')[0]?.sources.map(({ label }) => label)).toEqual(['one.scores.safetensors', 'tried']);
  expect(page.host.kept.at(-1)).toMatchObject({ sources: [{ path: file }, { path: runDir }] });
});

test('files are saved through the editor, and invalid messages of a page are refused', async () => {
  const page = openPage(file);
  page.send({ type: 'save', suggestedName: 'a.csv', content: 'x' });
  await until(() => page.calls('saveFile').length > 0, 'saved');
  expect(page.calls('saveFile')).toEqual([expect.objectContaining({ suggestedName: 'a.csv', content: 'x' })]);
  page.send({ type: 'open-run', path: runDir });
  await until(() => page.calls('openPage').length > 0, 'the run');
  const wrong = [{ type: 'save', suggestedName: '../../x', content: 'x' }, { type: 'want', sets: 'all' }, { type: 'else' }];
  for (const message of wrong) page.send(message);
  expect(page.calls('warn')).toHaveLength(3);
  expect(page.calls('saveFile')).toHaveLength(1);
});
