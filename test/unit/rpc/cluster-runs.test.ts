/** Tests runs and runs of sweeps with their cluster jobs. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { writeJson } from '../../../trainer/files/durable-file.ts';
import type { RunInfo } from '../../../trainer/protocol/messages/rpc-messages.ts';
import { listRunsAnywhere, readRun } from '../../../trainer/rpc/cluster-runs.ts';
import { readSubmission, removeSubmission } from '../../../trainer/slurm/submission.ts';
import { JournalFolder } from '../../../trainer/sweep/journal-folder.ts';
import { writePlan } from '../../../trainer/sweep/sweep-plan.ts';
import { writeSign } from '../../../trainer/sweep/worker-signs.ts';
import { type FakeSlurm, fakeSlurm } from '../../support/machine/fake-slurm.ts';
import { sweepPlan } from '../sweep/sweep-plan-fixture.ts';

vi.mock('../../../trainer/slurm/submission.ts', { spy: true });

const folder = mkdtempSync(join(tmpdir(), 'rowtune-cluster-'));
const at = (name: string): string => join(folder, 'runs', name);
let slurm: FakeSlurm;

const begun = async (name: string, state: string): Promise<void> => {
  mkdirSync(at(name), { recursive: true });
  const now = new Date().toISOString();
  const own = { pid: 1, host: 'n9', startedAt: now, updatedAt: now };
  await writeJson(join(at(name), 'state.json'), { state, name, step: 5, totalSteps: 10, ...own });
};

beforeAll(async () => {
  slurm = fakeSlurm(folder);
  slurm.setTasks(
    ...['7|PENDING|Resources||gpu', '8|RUNNING|None|n1|gpu', '9|FAILED|NonZeroExitCode|n1|gpu', '11|COMPLETED|None|n2|gpu'],
    ...['10|RUNNING|None|n3|gpu', '10|PENDING|Resources||gpu'],
  );
  slurm.setWaiting('3', '4', '7');
  await begun('trains', 'running');
  await begun('done', 'finished');
  await begun('here', 'finished');
  for (const [name, id] of Object.entries({ waits: '7', trains: '8', fell: '9', done: '11', forgotten: '1', many: '10' }))
    slurm.submit(at(name), id);
  const runs = ['001', '002', '003'].map(id => ({ id, settings: { r: 8 }, fixed: [] }));
  const plan = { ...sweepPlan, workers: { lostAfterSeconds: 60 }, runs };
  mkdirSync(at('many'));
  await writePlan(at('many'), plan);
  const shared = await JournalFolder.open(at('many'), plan);
  const start = (worker: string, index: number) => ({ kind: 'start', worker, index, run: index, until: 1, by: 0 }) as const;
  await shared.add(start('a', 0));
  await shared.add(start('b', 1));
  await shared.add({ kind: 'result', worker: 'b', index: 1, value: 0.5, ended: false, evaluations: 1, step: 5, totalSteps: 10 });
  await writeSign(at('many'), 'a', { beat: 1, node: 'n3', log: '/w/log-10_0.txt', ended: false });
  await writeSign(at('many'), 'b', { beat: 1, node: 'n4', log: '/w/log-10_1.txt', ended: true });
  await begun('many/001', 'running');
  await begun('many/002', 'stopped');
});
afterAll(() => {
  slurm.remove();
  rmSync(folder, { recursive: true, force: true });
});

const shown = ({ state, cluster }: RunInfo) => [state, cluster?.phase, cluster?.text, cluster?.node];

test('every run has its state, its place in the queue and its node', async () => {
  const { runs, truncated } = await listRunsAnywhere([folder]);
  expect(truncated).toBe(false);
  const found = Object.fromEntries(runs.map(run => [relative(at(''), run.runDir), shown(run)]));
  expect(found).toEqual({
    waits: ['queued', 'waiting', 'pending (Resources), behind 2 jobs', undefined],
    trains: ['running', 'running', 'running on n1', 'n1'],
    fell: ['failed', 'ended', 'failed on n1', 'n1'],
    forgotten: ['failed', 'ended', 'ended', undefined],
    done: ['finished', 'ended', 'ended', 'n9'],
    here: ['finished', undefined, undefined, undefined],
    'many/001': ['running', 'running', 'running on n3', 'n3'],
    'many/002': ['stopped', 'waiting', 'paused on n4; waits for a worker', 'n4'],
    'many/003': ['queued', 'waiting', 'waits for a worker', undefined],
  });
  expect(runs.find(({ runDir }) => runDir === at('fell'))?.reason).toBe('Job 9 of Slurm has ended, and the run had not begun.');
  expect(runs.find(({ runDir }) => runDir === at('many/001'))?.cluster?.log).toBe('/w/log-10_0.txt');
  expect(runs.find(({ runDir }) => runDir === at('trains'))?.cluster?.log).toBe(`${at('trains')}.slurm/log-8.txt`);
});

test('each record of a submission is read once in a listing, whatever the number of runs', async () => {
  vi.mocked(readSubmission).mockClear();
  await listRunsAnywhere([folder]);
  const read = vi.mocked(readSubmission).mock.calls.map(([of]) => of);
  expect(read).toContain(at('many'));
  expect(read.length).toBe(new Set(read).size);
});

test('a run is found by its folder alone, before it has begun too', async () => {
  for (const name of ['waits', 'trains', 'many/003']) {
    const run = await readRun(at(name));
    expect((await listRunsAnywhere([at(name)])).runs.map(shown)).toEqual([run && shown(run)]);
  }
  expect(await readRun(at('nothing'))).toBeUndefined();
  expect(await readRun(at('many'))).toBeUndefined();
});

test('a run that was submitted after Slurm was asked is not taken for one that has ended', async () => {
  await listRunsAnywhere([folder]);
  slurm.submit(at('late'), '12');
  slurm.setTasks('12|PENDING|Priority||gpu');
  expect(await readRun(at('late'))).toMatchObject({ state: 'queued', cluster: { text: 'pending (Priority)' } });
});

test('a damaged record of a job is named, and says nothing about its run', async () => {
  slurm.submit(at('damaged'), '13');
  writeFileSync(`${at('damaged')}.slurm/job.json`, '{"id": "thirteen"');
  await expect(readSubmission(at('damaged'))).rejects.toThrow(/damaged\.slurm.job\.json does not contain a Slurm job id/);
  expect(await readRun(at('damaged'))).toBeUndefined();
});

test('deleting a run deletes the files of its job, and nothing else', async () => {
  const own = `${at('forgotten')}.slurm`;
  writeFileSync(join(own, 'mine.txt'), 'kept');
  await removeSubmission(at('forgotten'));
  expect(readdirSync(own)).toEqual(['mine.txt']);
  expect(await readRun(at('forgotten'))).toBeUndefined();
  await removeSubmission(at('fell'));
  expect(existsSync(`${at('fell')}.slurm`)).toBe(false);
  await removeSubmission(at('nothing'));
});
