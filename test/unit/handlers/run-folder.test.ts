/** The run folder: who may begin in it, its lock, its list, and its metrics after a kill. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { claimName } from '../../../trainer/machine/process-lock.ts';
import { RUN_FILES } from '../../../trainer/protocol/run-files.ts';
import { appendMetrics, readMetrics, rewindMetrics } from '../../../trainer/run/metrics-file.ts';
import { beginRunFolder, listRuns, summarizeRun } from '../../../trainer/run/run-folder.ts';
import { takeRunLock } from '../../../trainer/run/run-lock.ts';
import { STATE_FILE, StateKeeper } from '../../../trainer/run/run-state.ts';
import { RunError } from '../../../trainer/run-error.ts';

let folder: string;
let said: string[];
const say = (message: string): number => said.push(message);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rowtune-run-'));
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

/** A process that was there and is gone. */
const deadPid = (): number => spawnSync(process.execPath, ['-e', '']).pid;

describe('beginning', () => {
  test('in a new folder', async () => {
    const runDir = join(folder, 'a', 'b');
    const release = await beginRunFolder(runDir, false, say);
    expect(readdirSync(runDir)).toEqual(['lock']);
    release();
    expect(readdirSync(runDir)).toEqual([]);
  });

  test('a folder with something in it is refused, and left as it is', async () => {
    writeFileSync(join(folder, 'thesis.txt'), 'years of work');
    expect(await codeOf(() => beginRunFolder(folder, false, say))).toBe('output-not-empty');
    expect(readdirSync(folder)).toEqual(['thesis.txt']);
  });

  test('replacing takes away what a run writes, nothing else', async () => {
    writeFileSync(join(folder, 'thesis.txt'), 'years of work');
    writeFileSync(join(folder, RUN_FILES.metrics), '');
    mkdirSync(join(folder, 'checkpoints', 'step-000003'), { recursive: true });
    await beginRunFolder(folder, true, say);
    expect(readdirSync(folder).sort()).toEqual(['lock', 'thesis.txt']);
    expect(said.join()).toContain('replacing');
  });

  /** A run that left what its preparation writes. */
  const leave = async (change: Parameters<StateKeeper['update']>[0], pid = deadPid()): Promise<void> => {
    const keeper = new StateKeeper(folder, { name: 'a', startedAt: '2026-01-01T00:00:00Z' });
    await keeper.update(change);
    writeFileSync(join(folder, STATE_FILE), JSON.stringify({ ...keeper.state, pid, startTime: undefined }));
    for (const name of ['recipe.yaml', 'log.txt', 'scores.safetensors']) writeFileSync(join(folder, name), '');
    mkdirSync(join(folder, 'checkpoints'), { recursive: true });
  };

  test.each(['failed', 'stopped', 'preparing'] as const)(
    'what a run left that was %s before its first update is replaced, nothing else',
    async state => {
      await leave({ state });
      writeFileSync(join(folder, 'thesis.txt'), 'years of work');
      await beginRunFolder(folder, false, say);
      expect(readdirSync(folder).sort()).toEqual(['lock', 'thesis.txt']);
      expect(said.join()).toContain('before its first update');
    },
  );

  test.each([
    ['it did an update', { state: 'failed', step: 1 }],
    ['it is finished', { state: 'finished' }],
    ['it was at work on its first update', { state: 'running' }],
  ] as const)('a run is kept where %s', async (_, change) => {
    await leave(change);
    expect(await codeOf(() => beginRunFolder(folder, false, say))).toBe('output-not-empty');
  });

  test('a run is kept where there is a checkpoint, or its process lives', async () => {
    await leave({ state: 'preparing' }, process.pid);
    expect(await codeOf(() => beginRunFolder(folder, false, say))).toBe('output-not-empty');
    await leave({ state: 'failed' });
    mkdirSync(join(folder, 'checkpoints', 'step-000000'));
    expect(await codeOf(() => beginRunFolder(folder, false, say))).toBe('output-not-empty');
  });
});

describe('the lock', () => {
  test('of a living process refuses a second one, also to replace the run', async () => {
    takeRunLock(folder, say);
    expect(await codeOf(() => takeRunLock(folder, say))).toBe('run-busy');
    expect(await codeOf(() => beginRunFolder(folder, true, say))).toBe('run-busy');
  });

  test('of a dead process is taken over aloud', () => {
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
    const state = (await summarizeRun(join(folder, 'runs', 'old'))) as object;
    writeFileSync(file, JSON.stringify({ ...state, pid: deadPid(), startTime: undefined }));
    mkdirSync(join(folder, 'runs', 'empty'));
    const { runs } = await listRuns([folder]);
    expect(runs.map(({ name, state, step, loss }) => ({ name, state, step, loss }))).toEqual([
      { name: 'new', state: 'running', step: 3, loss: 0.5 },
      { name: 'old', state: 'interrupted', step: 3, loss: 0.5 },
    ]);
    expect(runs[0]?.ageSeconds).toBeLessThan(60);
  });

  test('of a folder that is not there is empty', async () => {
    expect(await listRuns([join(folder, 'nowhere')])).toEqual({ runs: [], truncated: false });
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
