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

test('a setting is written the same in the table and in the line about the best run, with all digits', () => {
  const settings = { learning_rate: 0.0000408, weight_decay: 0.01 };
  const best: SweepRun = { id: '001', runDir: '/s/001', settings, state: 'finished', evaluations: 1, step: 9, totalSteps: 9 };
  const text = sweepTable(
    { sweepDir: '/s', name: 's', state: 'finished', strategy: 'grid', metric: 'loss', mode: 'min', parallel: 1, runs: [best], best: '001' },
    place => place,
  );
  expect(text).toContain('001        4.08e-5          0.01');
  expect(text).toContain('best: run 001 (learning_rate 4.08e-5, weight_decay 0.01) in /s/001');
});
