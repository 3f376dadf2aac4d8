/** Runs of the daemon stand in the list before their folder exists. */
import path from 'node:path';
import { expect, test } from 'vitest';
import { waitingRuns } from '../../../trainer/cli/daemon/waiting-runs.ts';
import type { JobRecord } from '../../../trainer/protocol/messages/rpc-messages.ts';

const job = (runDir: string, changes: Partial<JobRecord> = {}): JobRecord => ({
  id: runDir,
  kind: 'train',
  state: 'running',
  priority: 0,
  title: 'spam',
  runDir: path.resolve('/w', runDir),
  createdAt: new Date().toISOString(),
  ...changes,
});

test('lists jobs at or below the folder whose run has not begun', async () => {
  const jobs = [job('runs/a'), job('runs/b', { state: 'queued' }), job('elsewhere/c'), job('runs/begun'), job('runs/s', { kind: 'sweep' })];
  const known = [path.resolve('/w/runs/begun'), path.resolve('/w/runs/s/first')];
  for (const isHere of [true, false]) {
    const listed = await waitingRuns({ jobs, folder: path.resolve('/w/runs'), known, isHere });
    expect(listed.map(({ name, state, step }) => [name, state, step])).toEqual([
      ['a', 'preparing', 0],
      ['b', 'queued', 0],
    ]);
  }
  expect(await waitingRuns({ jobs, folder: path.resolve('/w/runs/a'), known, isHere: true })).toMatchObject([{ name: 'a' }]);
});
