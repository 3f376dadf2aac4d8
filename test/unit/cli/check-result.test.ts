/** Tests when a sweep that has ended counts as failed. */
import { expect, test } from 'vitest';
import { requireFinishedRun } from '../../../trainer/cli/check-result.ts';
import type { SweepRun, SweepStatus } from '../../../trainer/protocol/run/sweep.ts';

test('a sweep fails if all of its runs failed, and its error has the runs', () => {
  const run = (state: SweepRun['state']): SweepRun => ({
    id: '001',
    runDir: '/s/001',
    settings: {},
    state,
    evaluations: 0,
    step: 1,
    totalSteps: 9,
  });
  const status = (...states: SweepRun['state'][]): SweepStatus => ({
    ...{ sweepDir: '/s', name: 's', state: 'finished', strategy: 'grid', metric: 'loss', mode: 'min', parallel: 1 },
    runs: states.map(run),
  });
  requireFinishedRun(status('failed', 'finished'));
  requireFinishedRun(status('paused', 'failed'));
  expect(() => requireFinishedRun(status('failed', 'failed'))).toThrow(
    expect.objectContaining({ code: 'sweep-failed', details: { sweepDir: '/s', runs: [run('failed'), run('failed')] } }),
  );
});
