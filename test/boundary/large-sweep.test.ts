/** A sweep with more runs than files may be open: the table has all of them, by a process with the limit of a small system. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { RunState } from '../../trainer/run/run-state.ts';
import { writePlan } from '../../trainer/sweep/sweep-plan.ts';
import { ROWTUNE } from '../support/daemon/daemon.ts';
import { makeTemporaryFolder } from '../support/machine/temporary-folder.ts';
import { sweepPlan } from '../unit/sweep/sweep-plan-fixture.ts';

const RUNS = 400;
const MAX_FILES = 128;

test('the states of all runs are shown', async () => {
  const folder = makeTemporaryFolder();
  const ids = Array.from({ length: RUNS }, (_, i) => String(i + 1).padStart(3, '0'));
  await writePlan(folder, { ...sweepPlan, runs: ids.map(id => ({ id, settings: { r: 8 }, fixed: [] })) });
  const startedAt = '2026-01-01T00:00:00.000Z';
  for (const id of ids) {
    mkdirSync(path.join(folder, id));
    const state: RunState = { state: 'finished', name: id, step: 3, totalSteps: 3, pid: 1, startedAt, updatedAt: startedAt };
    writeFileSync(path.join(folder, id, 'state.json'), JSON.stringify(state));
    writeFileSync(path.join(folder, id, 'metrics.jsonl'), '{"step": 1, "loss": 2}\n{"step": 2, "loss": 1, "eval_accuracy": 0.5}\n');
  }
  const command = `ulimit -n ${MAX_FILES} && exec "$0" "$@"`;
  const args = ['-c', command, process.execPath, ROWTUNE, 'sweep', folder, '--status', '--json'];
  const env = { ...process.env, ROWTUNE_STATE: makeTemporaryFolder() };
  const { stdout } = await promisify(execFile)('sh', args, { env, maxBuffer: 2 ** 24 });
  const { runs }: { readonly runs: readonly object[] } = JSON.parse(stdout);
  expect(runs).toHaveLength(RUNS);
  for (const run of runs) expect(run).toMatchObject({ state: 'finished', evaluations: 1, step: 3 });
});
