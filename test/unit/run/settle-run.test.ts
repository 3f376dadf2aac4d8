/** Tests the end of a run whose process was killed: its lock and its state. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ownIdentity } from '../../../trainer/machine/process-identity.ts';
import { claimName } from '../../../trainer/machine/process-lock.ts';
import { takeRunLock } from '../../../trainer/run/run-lock.ts';
import { readRunState } from '../../../trainer/run/run-state.ts';
import { settleStoppedRun } from '../../../trainer/run/settle-run.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'rowtune-settle-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const state = {
  state: 'stopped',
  name: 'mails',
  step: 0,
  totalSteps: 8,
  pid: 1,
  startTime: '1',
  startedAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
  reason: 'before',
};
const put = (): void => writeFileSync(path.join(folder, 'state.json'), JSON.stringify(state));
/** Leaves the lock of a process that has ended. */
function leaveLock(): void {
  mkdirSync(path.join(folder, 'lock'));
  writeFileSync(path.join(folder, 'lock', claimName({ ...ownIdentity(), startTime: '1' })), '');
}

test('a lock that was taken before a state was written is removed, and the state of the run before stays', async () => {
  put();
  leaveLock();
  const before = await readRunState(folder);
  expect(before?.state).toBe('stopped');
  await settleStoppedRun(folder);
  expect(readdirSync(folder)).toEqual(['state.json']);
  expect(await readRunState(folder)).toEqual(before);
});

test('a folder in which another process works is left alone', async () => {
  put();
  const release = takeRunLock(folder, () => undefined);
  await settleStoppedRun(folder);
  expect(readdirSync(folder)).toContain('lock');
  release();
});

test('half-written files of killed ranks are removed, next to those of the first', async () => {
  put();
  const rank = path.join(folder, 'ranks', 'rank-1');
  mkdirSync(rank, { recursive: true });
  // Left by a process that does not exist.
  for (const file of [path.join(folder, 'metrics.jsonl'), path.join(rank, 'metrics.jsonl')]) {
    writeFileSync(file, '');
    writeFileSync(`${file}.4000001-00000000.tmp`, '');
  }
  await settleStoppedRun(folder);
  expect(readdirSync(folder).sort()).toEqual(['metrics.jsonl', 'ranks', 'state.json']);
  expect(readdirSync(rank)).toEqual(['metrics.jsonl']);
});
