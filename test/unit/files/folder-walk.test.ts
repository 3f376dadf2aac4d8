/** Tests listings of large trees: bounded in entries, depth and time, nearest first, and without cycles. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FolderWalk, type WalkBudget } from '../../../trainer/files/folder-walk.ts';
import { listModels } from '../../../trainer/rpc/models.ts';
import { listRuns } from '../../../trainer/run/run-folder.ts';
import { StateKeeper } from '../../../trainer/run/run-state.ts';
import { readHere } from '../../support/daemon/reader.ts';

let root: string;
const ample: WalkBudget = { maxDepth: 3, maxEntries: 10_000, maxMs: 60_000 };

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'rowtune-walk-'));
  for (const folder of ['a/b/c/d', 'crowd', 'node_modules/x', '.hidden', 'z-run']) mkdirSync(join(root, folder), { recursive: true });
  for (let i = 0; i < 500; i++) writeFileSync(join(root, 'crowd', `${i}`), '');
  symlinkSync(root, join(root, 'a', 'circle'));
  await new StateKeeper(join(root, 'z-run'), { name: 'z', startedAt: '2026-01-01T00:00:00Z' }).update({ state: 'running' });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function walked(budget: WalkBudget): Promise<{ paths: string[]; entries: number; truncated: boolean }> {
  const walk = new FolderWalk(budget);
  const paths: string[] = [];
  let entries = 0;
  for await (const folder of walk.below(root)) {
    paths.push(relative(root, folder.path));
    entries += folder.entries.length;
  }
  return { paths, entries, truncated: walk.truncated };
}

describe('a walk', () => {
  test('visits each folder once, level by level, down to its depth; links in circles end', async () => {
    const { paths, truncated } = await walked(ample);
    expect(paths[0]).toBe('');
    expect(paths.slice(1, 4).sort()).toEqual(['a', 'crowd', 'z-run']);
    expect(paths.slice(4)).toEqual(['a/b', 'a/b/c']);
    expect(truncated).toBe(false);
  });

  test('reads no more entries than its budget, and says so', async () => {
    const { entries, truncated } = await walked({ ...ample, maxEntries: 100 });
    expect([entries, truncated]).toEqual([100, true]);
  });

  test('without time it ends at once, and says so', async () =>
    expect(await walked({ ...ample, maxMs: 0 })).toEqual({ paths: [], entries: 0, truncated: true }));

  test('a folder that is missing, or is a file, is empty', async () => {
    const walk = new FolderWalk(ample);
    for (const name of ['nowhere', 'crowd/1']) for await (const folder of walk.below(join(root, name))) expect(folder).toBeUndefined();
    expect(walk.truncated).toBe(false);
  });
});

test('a list of runs within its budget is whole, and one beyond it says that it was cut', async () => {
  expect(await listRuns([root])).toMatchObject({ runs: [{ name: 'z' }], truncated: false });
  expect((await listRuns([root, root])).runs).toHaveLength(1);
  expect(await listRuns([join(root, 'crowd'), root], { ...ample, maxEntries: 100 })).toMatchObject({ runs: [], truncated: true });
});

test('so does a list of models', async () => {
  const none = join(root, 'no-cache');
  expect(await listModels(none, [root], readHere)).toEqual({ models: [], truncated: false });
  expect(await listModels(none, [root], readHere, { ...ample, maxEntries: 100 })).toEqual({ models: [], truncated: true });
});

test("runs are found below a folder whose state.json is another program's, as deep as elsewhere", async () => {
  const other = mkdtempSync(join(tmpdir(), 'rowtune-walk-'));
  try {
    writeFileSync(join(other, 'state.json'), '{"windows":[]}');
    const runs = [...Array.from({ length: 40 }, (_, i) => `runs/r${i}`), 'a/b/deep', 'a/b/c/too-deep', 'runs/r0/inside'];
    for (const name of runs) {
      mkdirSync(join(other, name), { recursive: true });
      await new StateKeeper(join(other, name), { name, startedAt: '2026-01-01T00:00:00Z' }).update({ state: 'finished' });
    }
    const found = await listRuns([other], ample);
    expect(found.runs.map(({ name }) => name).sort()).toEqual(runs.slice(0, 41).sort());
    expect(found.truncated).toBe(false);
  } finally {
    rmSync(other, { recursive: true, force: true });
  }
});
