/** Tests the folder of a sweep: results of segments of runs, decisions, the order of runs and their table. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { SWEEP_FILES, type SweepRun, sweepCsv } from '../../../trainer/protocol/run/sweep.ts';
import { openDecisions } from '../../../trainer/sweep/decisions.ts';
import { segmentResult } from '../../../trainer/sweep/segment-result.ts';
import { compareRuns } from '../../../trainer/sweep/status-of.ts';
import { readPlan, writePlan } from '../../../trainer/sweep/sweep-plan.ts';
import { readSweep } from '../../../trainer/sweep/sweep-status.ts';
import { sweepPlan } from './sweep-plan-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-sweep-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the result of a part of a run', () => {
  const result = (state: 'running' | 'stopped' | 'finished', evaluations: number[], until: number | 'end') =>
    segmentResult({ state, metrics: { eval_loss: 0.5 } }, evaluations, until, 'eval_loss');

  test('is the evaluation at the end of the part, once the run has saved', () => {
    expect(result('stopped', [3, 2], 2)).toEqual({ value: 2, ended: false });
    expect(result('running', [3, 2], 2)).toBeUndefined();
    expect(result('running', [3, 2, 1], 2)).toEqual({ value: 2, ended: false });
    expect(result('stopped', [3], 2)).toBeUndefined();
  });

  test('of a finished run is its final result', () => {
    expect(result('finished', [3, 2], 'end')).toEqual({ value: 0.5, ended: true });
    expect(result('finished', [3, 2], 3)).toEqual({ value: 0.5, ended: true });
    expect(result('finished', [3, 2], 1)).toEqual({ value: 3, ended: false });
    expect(result('stopped', [3, 2], 'end')).toBeUndefined();
  });
});

test('a repeated decision is accepted, a half-written line is dropped, and another decision is refused', async () => {
  const file = join(folder, SWEEP_FILES.decisions);
  const first = { index: 0, run: '001', until: 1, by: 0 } as const;
  await (await openDecisions(folder)).record(first);
  appendFileSync(file, '{"index":1,"ru');
  const log = await openDecisions(folder);
  await log.record(first);
  await log.record({ index: 1, run: '002', until: 1, by: 1 });
  expect(readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(2);
  await expect((await openDecisions(folder)).record({ ...first, run: '003' })).rejects.toMatchObject({ code: 'bad-sweep' });
});

const run = (id: string, change: Partial<SweepRun>): SweepRun => ({
  id,
  runDir: `/w/${id}`,
  settings: { learning_rate: 1e-4, target_modules: ['q_proj', 'v_proj'] },
  state: 'paused',
  evaluations: 1,
  step: 5,
  totalSteps: 10,
  ...change,
});

test('finished runs are first, then those with more evaluations; the table quotes lists', () => {
  const runs = [
    run('001', { value: 0.1 }),
    run('002', { value: 0.9, evaluations: 3 }),
    run('003', { value: 0.8, state: 'finished' }),
    run('004', { state: 'waiting', evaluations: 0 }),
    run('005', { value: 0.7, state: 'finished', evaluations: 2 }),
  ];
  const sorted = [...runs].sort((a, b) => compareRuns({ mode: 'min' }, a, b));
  expect(sorted.map(({ id }) => id)).toEqual(['005', '003', '002', '001', '004']);
  const csv = sweepCsv({ runs: sorted, metric: 'loss' }).split('\r\n');
  expect(csv[0]).toBe('run,learning_rate,target_modules,eval_loss,state,evaluations,step,total_steps,loss,folder');
  expect(csv[1]).toBe('005,1e-4,"[""q_proj"",""v_proj""]",0.7,finished,2,5,10,,/w/005');
});

test('a plan reads back as it was written, and a damaged one is refused', async () => {
  expect(await readPlan(folder)).toBeUndefined();
  await writePlan(folder, sweepPlan);
  expect(await readPlan(folder)).toEqual(sweepPlan);
  expect(await readSweep(folder)).toMatchObject({ state: 'stopped', metric: 'accuracy', runs: [{ id: '001', state: 'waiting' }] });
  appendFileSync(join(folder, SWEEP_FILES.plan), ' ');
  await expect(readPlan(folder)).rejects.toMatchObject({ code: 'bad-sweep' });
});

test.each(['../001', '/w/001', '..', 'a/b', ''])('a plan with the run %j, which could lie outside of the folder, is refused', async id => {
  await writePlan(folder, { ...sweepPlan, runs: [{ id, settings: {}, fixed: [] }] });
  await expect(readSweep(folder)).rejects.toMatchObject({
    code: 'bad-sweep',
    message: expect.stringMatching(/sweep\.json is damaged: runs\.0\.id: the id of a run must be a number$/),
  });
});
