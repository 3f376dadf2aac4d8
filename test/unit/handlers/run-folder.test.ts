/** Tests the run folder: what may start in it, its lock, its list, and its metrics after a kill. */

import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { unknownRun } from '../../../trainer/cli/daemon/unknown-run.ts';
import { claimName } from '../../../trainer/machine/process-lock.ts';
import { PAUSED_BY_SWEEP } from '../../../trainer/protocol/messages/job-messages.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { RUN_FILES, STATE_FILE } from '../../../trainer/protocol/run/run-files.ts';
import { SWEEP_FILES } from '../../../trainer/protocol/run/sweep.ts';
import { listRunsAnywhere } from '../../../trainer/rpc/cluster-runs.ts';
import { beginRunFolder, recoverReplaced, requireUsableOutput } from '../../../trainer/run/begin-run.ts';
import { appendMetrics, readMetrics, rewindMetrics } from '../../../trainer/run/metrics-file.ts';
import { listRuns, summarizeRun, writeRunRecipe } from '../../../trainer/run/run-folder.ts';
import { takeRunLock } from '../../../trainer/run/run-lock.ts';
import { StateKeeper } from '../../../trainer/run/run-state.ts';
import { RunError } from '../../../trainer/run-error.ts';
import { resolveSettings } from '../../../trainer/settings.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

let folder: string;
let said: string[];
const say = (message: string): number => said.push(message);
beforeEach(() => {
  folder = makeTemporaryFolder();
  said = [];
});

const codeOf = async (work: () => unknown): Promise<string> => {
  try {
    await work();
  } catch (error) {
    if (error instanceof RunError) return error.code;
    throw error;
  }
  return 'nothing was thrown';
};

/** Returns the id of a process that has ended. */
const deadPid = (): number => spawnSync(process.execPath, ['-e', '']).pid;

describe('beginning', () => {
  test('creates a new folder with a lock', async () => {
    const runDir = join(folder, 'a', 'b');
    const { release } = await beginRunFolder(runDir, false, say);
    expect(readdirSync(runDir)).toEqual(['lock']);
    release();
    expect(readdirSync(runDir)).toEqual([]);
  });

  test('a folder with something in it is refused, and left as it is', async () => {
    writeFileSync(join(folder, 'thesis.txt'), 'years of work');
    expect(await codeOf(() => beginRunFolder(folder, false, say))).toBe('output-not-empty');
    expect(readdirSync(folder)).toEqual(['thesis.txt']);
  });

  /** Creates a folder with the files that a run's preparation writes. */
  const leave = async (change: Parameters<StateKeeper['update']>[0], pid = deadPid()): Promise<void> => {
    const keeper = new StateKeeper(folder, { name: 'a', startedAt: '2026-01-01T00:00:00Z' });
    await keeper.update(change);
    writeFileSync(join(folder, STATE_FILE), JSON.stringify({ ...keeper.state, pid, startTime: undefined }));
    for (const name of ['recipe.yaml', 'log.txt', 'scores.safetensors']) writeFileSync(join(folder, name), name);
    mkdirSync(join(folder, 'checkpoints'), { recursive: true });
  };

  test.each(['failed', 'stopped', 'preparing', 'running'] as const)(
    'what a run left that was %s before its first update is replaced, its log is kept, and nothing else is touched',
    async state => {
      await leave({ state });
      writeFileSync(join(folder, 'thesis.txt'), 'years of work');
      const begun = await beginRunFolder(folder, false, say);
      expect(readdirSync(folder).sort()).toEqual(['lock', 'log.earlier.txt', 'thesis.txt']);
      expect(readFileSync(join(folder, 'log.earlier.txt'), 'utf8')).toBe('log.txt');
      begun.release();
      // The newest of several consecutive runs, and none if a run has results.
      await leave({ state });
      writeFileSync(join(folder, 'log.txt'), 'newer');
      (await beginRunFolder(folder, false, say)).release();
      expect(readFileSync(join(folder, 'log.earlier.txt'), 'utf8')).toBe('newer');
      expect(said.join()).toContain('before its first update');
    },
  );

  test('a folder that was cleared for a run, which was killed before its first state, is free', async () => {
    writeFileSync(join(folder, 'log.earlier.txt'), 'older');
    (await beginRunFolder(folder, false, say)).release();
    expect(readFileSync(join(folder, 'log.earlier.txt'), 'utf8')).toBe('older');
  });

  test.each([
    ['it did an update', { state: 'failed', step: 1 }],
    ['it is finished', { state: 'finished' }],
    ['it was killed after an update', { state: 'running', step: 1 }],
  ] as const)('a run is kept where %s', async (_, change) => {
    await leave(change);
    expect(await codeOf(() => beginRunFolder(folder, false, say))).toBe('output-not-empty');
  });

  test('a run is kept where there is a checkpoint, or its process lives', async () => {
    for (const state of ['running', 'preparing'] as const) {
      await leave({ state }, process.pid);
      expect(await codeOf(() => beginRunFolder(folder, false, say))).toBe('run-busy');
    }
    await leave({ state: 'failed' });
    mkdirSync(join(folder, 'checkpoints', 'step-000000'));
    expect(await codeOf(() => beginRunFolder(folder, false, say))).toBe('output-not-empty');
  });
});

test('a run that its sweep paused has been stopped early once the sweep is finished', async () => {
  const runDir = join(folder, '001');
  mkdirSync(runDir);
  await new StateKeeper(runDir, { name: 'a', startedAt: '2026-01-01T00:00:00Z' }).update({ state: 'stopped', reason: PAUSED_BY_SWEEP });
  writeFileSync(join(folder, SWEEP_FILES.plan), '{}');
  expect((await summarizeRun(runDir))?.reason).toBe(PAUSED_BY_SWEEP);
  writeFileSync(join(folder, SWEEP_FILES.result), '{}');
  expect((await summarizeRun(runDir))?.reason).toBe('stopped early by its sweep');
});

test('the error about a run that no daemon has says how to stop it where it runs', async () => {
  const settings = resolveSettings({ env: {}, platform: 'linux', home: '/nowhere' });
  const hint = async (): Promise<string | undefined> =>
    (await unknownRun({ settings, cwd: folder }, 'a', { code: 'daemon-missing', message: 'no daemon is running' })).hint;
  expect(await hint()).toBe('List the runs and their states with: rowtune runs');
  mkdirSync(join(folder, 'a'));
  await new StateKeeper(join(folder, 'a'), { name: 'a', startedAt: '2026-01-01T00:00:00Z' }).update({ state: 'running' });
  expect(await hint()).toMatch(new RegExp(`^Process ${process.pid} trains it without the daemon.*Ctrl-C.*rowtune metrics a$`));
});

describe('replacing a run', () => {
  const contents = (from = folder): Record<string, string> =>
    Object.fromEntries(
      readdirSync(from, { recursive: true, withFileTypes: true })
        .filter(entry => entry.isFile() && !join(entry.parentPath, entry.name).includes(`${sep}lock${sep}`))
        .map(entry => [relative(from, join(entry.parentPath, entry.name)), readFileSync(join(entry.parentPath, entry.name), 'utf8')]),
    );
  const leaveRun = async (): Promise<void> => {
    await new StateKeeper(folder, { name: 'old', startedAt: '2026-01-01T00:00:00Z', step: 3 }).update({ state: 'finished' });
    mkdirSync(join(folder, 'checkpoints', 'step-000003'), { recursive: true });
    for (const name of ['recipe.yaml', 'metrics.jsonl', 'checkpoints/step-000003/trainer_state.json'])
      writeFileSync(join(folder, name), name);
    writeFileSync(join(folder, 'thesis.txt'), 'years of work');
  };
  /** Writes what a new run writes before its first update. */
  const beginNew = async (): Promise<void> => {
    const keeper = new StateKeeper(folder, { name: 'new', startedAt: '2026-02-01T00:00:00Z' });
    await keeper.update({ state: 'preparing' });
    writeFileSync(join(folder, STATE_FILE), JSON.stringify({ ...keeper.state, pid: deadPid(), startTime: undefined }));
    writeFileSync(join(folder, 'log.txt'), 'new');
    mkdirSync(join(folder, 'checkpoints'));
  };

  test('takes away what a run wrote, and nothing else, once the new one has done an update', async () => {
    await leaveRun();
    const begun = await beginRunFolder(folder, true, say);
    expect(said.join()).toContain('replacing');
    await beginNew();
    await begun.keepNew();
    begun.release();
    expect(Object.keys(contents()).sort()).toEqual(['log.txt', 'state.json', 'thesis.txt']);
    expect(readdirSync(folder).filter(name => name.startsWith('.'))).toEqual([]);
  });

  test('puts the old one back where the new one is refused before its first update', async () => {
    await leaveRun();
    const before = contents();
    const begun = await beginRunFolder(folder, true, say);
    await beginNew();
    expect(await begun.putBack()).toBe(true);
    begun.release();
    expect(contents()).toEqual(before);
    expect(readdirSync(folder).filter(name => name.startsWith('.'))).toEqual([]);
  });

  test('killed before its first update, it comes back when somebody next works in the folder', async () => {
    await leaveRun();
    const before = contents();
    (await beginRunFolder(folder, true, say)).release();
    await beginNew();
    await recoverReplaced(folder, say);
    expect(contents()).toEqual(before);
    expect(said.join()).toContain('is back');
  });

  test('a kill at any move, in either direction, loses nothing', async () => {
    await leaveRun();
    const before = contents();
    (await beginRunFolder(folder, true, say)).release();
    const aside = join(folder, '.replaced');
    const names = ['recipe.yaml', 'metrics.jsonl', 'checkpoints', 'state.json'];
    // Any number of them may have been moved when the process was killed, the state last.
    for (let moved = 0; moved <= names.length; moved++) {
      mkdirSync(aside, { recursive: true });
      for (const [i, name] of names.entries()) {
        const [there, here] = [join(aside, name), join(folder, name)];
        if (i < moved && existsSync(here)) renameSync(here, there);
        if (i >= moved && existsSync(there)) renameSync(there, here);
      }
      await recoverReplaced(folder, say);
      expect(contents(), `${moved} moved`).toEqual(before);
    }
  });

  test.each([
    ['recipe.yaml', 'mine'],
    ['log.txt', 'of another program'],
    ['checkpoints/epoch-1.pt', 'of another trainer'],
    ['summary.json', '{}'],
    ['state.json', '{"mine": true}'],
  ])('never touches %s of a folder that is no run', async (name, text) => {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), text);
    writeFileSync(join(folder, 'thesis.txt'), 'years of work');
    const before = contents();
    expect(await codeOf(() => beginRunFolder(folder, true, say))).toBe('output-not-empty');
    expect(contents()).toEqual(before);
  });

  test('a run whose state is gone is known by its recipe; a folder without names of a run may hold one, too', async () => {
    const { recipe } = parseRecipe('model: a\nr: 8\ndata: {train: a.jsonl}\n');
    if (!recipe) throw new Error('the recipe is wrong');
    await writeRunRecipe(folder, recipe);
    const begun = await beginRunFolder(folder, true, say);
    await begun.keepNew();
    begun.release();
    writeFileSync(join(folder, 'thesis.txt'), 'years of work');
    (await beginRunFolder(folder, true, say)).release();
    expect(Object.keys(contents())).toEqual(['thesis.txt']);
  });

  test('a file named lock is kept', async () => {
    writeFileSync(join(folder, 'lock'), 'mine');
    expect(await codeOf(() => beginRunFolder(folder, true, say))).toBe('output-not-empty');
    expect(readFileSync(join(folder, 'lock'), 'utf8')).toBe('mine');
  });

  test('checkpoints that are a link are unlinked, and what they lead to stays', async () => {
    await leaveRun();
    const elsewhere = makeTemporaryFolder();
    renameSync(join(folder, 'checkpoints'), join(elsewhere, 'kept'));
    symlinkSync(join(elsewhere, 'kept'), join(folder, 'checkpoints'));
    const begun = await beginRunFolder(folder, true, say);
    await begun.keepNew();
    begun.release();
    expect(Object.keys(contents(elsewhere))).toEqual(['kept/step-000003/trainer_state.json']);
  });
});

describe.runIf(process.platform === 'linux')('a place where nothing can be written', () => {
  test.each(['/proc/nope', '/dev/null/x', '/sys/x/y', '/proc/self/fd/x'])('%s', async place => {
    expect(await codeOf(() => requireUsableOutput(place))).toBe('output-unusable');
    expect(await codeOf(() => beginRunFolder(place, true, say))).toBe('output-unusable');
  });

  test('a file, below a file, a link to nowhere, a link to itself, a name too long', async () => {
    writeFileSync(join(folder, 'file'), '');
    symlinkSync('nowhere', join(folder, 'dangling'));
    symlinkSync('loop', join(folder, 'loop'));
    for (const name of ['file', 'file/below', 'dangling', 'dangling/below', 'loop/below', 'x'.repeat(300)])
      expect(await codeOf(() => beginRunFolder(join(folder, name), true, say)), name).toBe('output-unusable');
    expect(readdirSync(folder).sort()).toEqual(['dangling', 'file', 'loop']);
  });

  test('a deep path below a writable folder is accepted', async () => {
    await requireUsableOutput(join(folder, 'a', 'b', 'c'));
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('the lock', () => {
  test('of a living process refuses a second one, also to replace the run', async () => {
    takeRunLock(folder, say);
    expect(await codeOf(() => takeRunLock(folder, say))).toBe('run-busy');
    expect(await codeOf(() => beginRunFolder(folder, true, say))).toBe('run-busy');
  });

  test('of a dead process is taken over, with a message', () => {
    mkdirSync(join(folder, 'lock'));
    writeFileSync(join(folder, 'lock', claimName({ pid: deadPid() })), '');
    takeRunLock(folder, say)();
    expect(said.join()).toContain('has ended');
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('the list of runs', () => {
  test('newest first; a run whose process is gone is interrupted', async () => {
    for (const [name, startedAt] of [
      ['old', '2026-01-01T00:00:00Z'],
      ['new', '2026-02-01T00:00:00Z'],
    ] as const) {
      mkdirSync(join(folder, 'runs', name), { recursive: true });
      const keeper = new StateKeeper(join(folder, 'runs', name), { name, startedAt });
      await keeper.update({ state: 'running', step: 3, totalSteps: 10, loss: 0.5 });
    }
    const file = join(folder, 'runs', 'old', 'state.json');
    const state = await summarizeRun(join(folder, 'runs', 'old'));
    writeFileSync(file, JSON.stringify({ ...state, pid: deadPid(), startTime: undefined }));
    mkdirSync(join(folder, 'runs', 'empty'));
    const { runs } = await listRuns([folder]);
    expect(runs.map(({ name, state, step, loss }) => ({ name, state, step, loss }))).toEqual([
      { name: 'new', state: 'running', step: 3, loss: 0.5 },
      { name: 'old', state: 'interrupted', step: 3, loss: 0.5 },
    ]);
    expect(runs[0]?.ageSeconds).toBeLessThan(60);
  });

  test('a run on another machine is running until it has been silent for minutes', async () => {
    const keeper = new StateKeeper(folder, { name: 'far', startedAt: '2026-01-01T00:00:00Z' });
    await keeper.update({ state: 'running', step: 3, totalSteps: 10 });
    writeFileSync(join(folder, 'state.json'), JSON.stringify({ ...keeper.state, pid: deadPid(), bootId: '00000000', host: 'node-7' }));
    const updated = Date.parse(keeper.state.updatedAt);
    expect((await summarizeRun(folder, updated + 60_000))?.state).toBe('running');
    expect((await summarizeRun(folder, updated + 600_000))?.state).toBe('interrupted');
  });

  test('of a folder that is not there is empty', async () => {
    const nowhere = join(folder, 'nowhere');
    expect(await listRuns([nowhere])).toEqual({ runs: [], submitted: [], truncated: false });
    expect(await listRunsAnywhere([folder, nowhere])).toEqual({ runs: [], truncated: false, missing: [nowhere] });
  });
});

test('metrics go back to a checkpoint; a half line is dropped', async () => {
  for (const step of [1, 2, 3]) await appendMetrics(folder, { step, loss: step / 2 });
  appendFileSync(join(folder, RUN_FILES.metrics), '{"step":4,"lo');
  await rewindMetrics(folder, 2);
  await appendMetrics(folder, { step: 3, loss: 9 });
  expect(await readMetrics(folder)).toEqual([
    { step: 1, loss: 0.5 },
    { step: 2, loss: 1 },
    { step: 3, loss: 9 },
  ]);
  expect(existsSync(join(folder, RUN_FILES.metrics))).toBe(true);
});
