/** Tests the linter's knowledge of data, memory and runs; the fixtures test the positions of problems. */
import { rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { STATE_FILE } from '../../../trainer/protocol/run/run-files.ts';
import { makeWorkspace, problemsOf, viewOf } from './check-view.ts';

const folder = makeWorkspace();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('problems of model and data', () => {
  it('a malformed sample is reported with its line and key', async () => {
    const view = await viewOf('model: models/tiny\nr: 8\nmax_length: 32\ndata: {train: wrong-type.jsonl}', { folder });
    const [found] = problemsOf(view);
    expect(found?.message).toContain('line 2: key "text"');
    expect(found?.related).toMatchObject({ line: 1 });
  });

  it('a path that begins with ~ is not found, and the expanded path is suggested', async () => {
    vi.stubEnv('HOME', folder);
    const found = problemsOf(await viewOf('model: ~/models/tiny\nr: 8\ndata: {train: ~/nothing.jsonl}', { folder }));
    vi.unstubAllEnvs();
    expect(found.map(({ message }) => message)).toEqual([
      `there is no model at '~/models/tiny', and it is not a hub name; did you mean '${folder}/models/tiny'?`,
      "there is no file or folder '~/nothing.jsonl'",
    ]);
  });

  it('a run that takes more than is free is a warning with the split', async () => {
    const text = 'model: models/tiny\nr: 8\nmax_length: 32\nper_device_train_batch_size: 8\ndata: {train: spam.jsonl}';
    const found = problemsOf(await viewOf(text, { folder, availableBytes: 350e6 })).find(({ code }) => code === 'memory-above-free');
    expect(found?.message).toMatch(/weights, .*activations \(recompute: \w+\), .*engine/);
  });

  it('the memory of a run is that of all its processes', async () => {
    const text = 'model: models/tiny\nr: 8\nmax_length: 32\nengine: tensorflow\nprocesses: 8\ndata: {train: spam.jsonl}';
    const view = await viewOf(text, { folder, availableBytes: 1e9 });
    const found = problemsOf(view).find(({ code }) => code === 'memory-above-free');
    const { totalBytes = 0, runBytes = 0 } = view.estimate ?? {};
    expect(totalBytes).toBeLessThan(1e9);
    expect(runBytes).toBe(8 * totalBytes);
    expect(found?.message).toMatch(/needs about [\d.]+ GB, but only 1\.0 GB are free: each of 8 processes has [\d.]+ \wB weights/);
  });
});

it.each(['', ':', '- ', '{', '[', '"', 'model:', 'data:', 'data: [', '\t', '? ', '&a *a', 'model: {x: 1}', 'a: b: c'])(
  'half-typed %j has a view',
  async text => {
    await expect(viewOf(text, { folder })).resolves.toBeDefined();
  },
);

describe('the runs of a recipe', () => {
  it('the newest is the last one', async () => {
    utimesSync(path.join(folder, 'runs', 'a-2', 'state.json'), new Date(), new Date(Date.now() + 60_000));
    expect((await viewOf('model: m', { folder })).runs).toEqual({ last: path.join(folder, 'runs', 'a-2'), output: 'free' });
    expect((await viewOf('model: m\nname: done', { folder })).runs.last).toBe(path.join(folder, 'runs', 'done'));
    expect((await viewOf('model: m\noutput_dir: runs/done', { folder })).runs).toEqual({
      last: path.join(folder, 'runs', 'done'),
      output: 'run',
    });
    expect((await viewOf('model: m\noutput_dir: elsewhere', { folder })).runs).toEqual({ output: 'free' });
  });

  it('is recognized by state.json', () => expect(STATE_FILE).toBe('state.json'));
});

describe('rows of the data', () => {
  const rowsOf = async (file: string) => (await viewOf(`model: m\ndata: {train: ${file}}`, { folder })).data[0]?.rows;
  it('are counted by lines, those of a table by its records', async () => {
    expect(await rowsOf('hundred.jsonl')).toEqual({ count: 100, isExact: true });
    expect(await rowsOf('hundred.csv')).toEqual({ count: 100, isExact: true });
    expect(await rowsOf('spam.jsonl')).toEqual({ count: 2, isExact: true });
  });

  it('are taken from the first part of a large file', async () => {
    writeFileSync(path.join(folder, 'large.jsonl'), '{"text":"0123456789"}\n'.repeat(1_000_000));
    const rows = await rowsOf('large.jsonl');
    expect(rows?.isExact).toBe(false);
    expect(Math.abs((rows?.count ?? 0) - 1_000_000)).toBeLessThan(1000);
  });
});
