/** Tests the table of a sweep. */
import { expect, test } from 'vitest';
import { sweepTable } from '../../../trainer/cli/show/sweep-table.ts';
import type { SweepRun } from '../../../trainer/protocol/run/sweep.ts';

test('reasons of failures are below the table, once for all runs with the same one', () => {
  const run = (id: string, state: SweepRun['state'], failure?: string): SweepRun => ({
    ...{ id, runDir: `/s/${id}`, settings: { r: 8 }, state, evaluations: 0, step: 1, totalSteps: 9 },
    ...(failure !== undefined && { failure }),
  });
  const why = 'the loss is not a number';
  const runs = [run('001', 'finished'), run('002', 'failed', why), run('003', 'failed', why), run('004', 'waiting', 'its worker was lost')];
  const text = sweepTable(
    { sweepDir: '/s', name: 's', state: 'running', strategy: 'grid', metric: 'loss', mode: 'min', parallel: 1, runs },
    place => place,
  );
  expect(text.split('\n\n').slice(1)).toEqual([
    'runs 002, 003 failed: the loss is not a number\nrun 004 pending: its worker was lost',
    'no run is finished; the runs are in /s',
  ]);
});
