/** Tests a sweep on the command line: halving, killed in the middle and continued, and its best run trained alone. */
import { existsSync, readdirSync } from 'node:fs';
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkResult } from '../../../trainer/cli/check-result.ts';
import { readRunState } from '../../../trainer/run/run-state.ts';
import { until } from '../../support/machine/until.ts';
import { cli, cliJson, makeTinyTask } from './run-cli.ts';

let folder: string;
let recipe: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'rowtune-sweep-'));
  ({ recipe } = await makeTinyTask(folder));
  const section = ['sweep:', '  strategy: halving', '  reduction_factor: 2', '  over: {learning_rate: [1.0e-4, 1.0e-2, 1.0e-3]}', ''];
  await appendFile(recipe, section.join('\n'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const here = {
  get cwd() {
    return folder;
  },
};
const inFolder = (...parts: string[]): string => path.join(folder, 'runs', ...parts);
/** Returns the trained weights of a run's last checkpoint. */
async function trained(run: string): Promise<Buffer> {
  const [last = ''] = readdirSync(inFolder(run, 'checkpoints'))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .slice(-1);
  return readFile(inFolder(run, 'checkpoints', last, 'adapter_model.safetensors'));
}
const curve = async (run: string): Promise<number[]> =>
  (await readFile(inFolder(run, 'metrics.jsonl'), 'utf8'))
    .split('\n')
    .flatMap(line => /"eval_loss":([^,]+)/.exec(line)?.[1]?.split(',').map(Number) ?? []);

describe('a sweep', () => {
  test('halving trains the best run to its end and keeps the others whole', async () => {
    const { status, value, stderr } = await cliJson(['sweep', recipe, 'output_dir=runs/whole', '--csv', 'table.csv'], here);
    expect(status, stderr).toBe(0);
    const sweep = checkResult('sweep', value);
    expect(sweep).toMatchObject({ state: 'finished', strategy: 'halving', metric: 'loss', mode: 'min', best: '002' });
    expect(sweep.runs.map(({ id, state, evaluations }) => `${id} ${state} ${evaluations}`)).toEqual([
      '002 finished 3',
      '003 paused 1',
      '001 paused 1',
    ]);
    expect(sweep.runs[0]?.value).toBe((await curve('whole/002')).at(-1));
    expect((await readFile(path.join(folder, 'table.csv'), 'utf8')).split('\r\n')[1]).toMatch(/^002,0.01,[\d.]+,finished,3,18,18,/);
    const resumed = await cli(['resume', 'runs/whole/003'], here);
    expect(resumed.status, resumed.stderr).toBe(0);
  });

  test('the best run is equal to that run alone, to the bit', async () => {
    const { status, stderr } = await cli(['train', recipe, 'learning_rate=1e-2', 'output_dir=runs/alone'], here);
    expect(status, stderr).toBe(0);
    expect((await trained('alone')).equals(await trained('whole/002'))).toBe(true);
    expect(await curve('alone')).toEqual(await curve('whole/002'));
  });

  test('killed with its running run, it is continued to the same result', async () => {
    const ended = cli(['sweep', recipe, 'output_dir=runs/killed'], here);
    const pidOf = async (id: string): Promise<number | undefined> => {
      const state = await readRunState(inFolder('killed', id));
      return state?.state === 'running' || state?.state === 'preparing' ? state.pid : undefined;
    };
    await until(async () => (await pidOf('003')) !== undefined, 'run 003 begins');
    const member = await pidOf('003');
    const claims = readdirSync(inFolder('killed', 'lock')).map(name => Number(name.split('.')[0]));
    for (const pid of [...claims, member]) process.kill(Number(pid), 'SIGKILL');
    const killed = await ended;
    expect(killed.status, killed.stderr).toBe(1);
    expect(killed.stderr).toContain('rowtune sweep runs/killed');
    const before = await cliJson(['sweep', 'runs/killed', '--status'], here);
    expect(before.value).toMatchObject({ ok: true, state: 'stopped' });
    const { status, value, stderr } = await cliJson(['sweep', 'runs/killed'], here);
    expect(status, stderr).toBe(0);
    expect(value).toMatchObject({ state: 'finished', best: '002' });
    for (const file of ['decisions.jsonl'])
      expect(await readFile(inFolder('killed', file), 'utf8')).toBe(await readFile(inFolder('whole', file), 'utf8'));
    expect((await trained('killed/002')).equals(await trained('whole/002'))).toBe(true);
    for (const id of ['001', '002']) expect(await curve(`killed/${id}`)).toEqual(await curve(`whole/${id}`));
    expect(await curve('killed/003')).toEqual((await curve('whole/003')).slice(0, 2));
  });

  test('a sweep that can not run says so before anything starts', async () => {
    const none = await cliJson(['sweep', recipe, 'sweep='], here);
    expect([none.status, none.value]).toMatchObject([2, { error: { message: expect.stringContaining('has no sweep section') } }]);
    const taken = await cliJson(['sweep', recipe, 'output_dir=runs/whole'], here);
    expect([taken.status, taken.value]).toMatchObject([1, { error: { code: 'output-not-empty' } }]);
    const unfit = await cliJson(['sweep', recipe, 'sweep.over={max_steps: [5, 0]}', 'output_dir=runs/unfit'], here);
    expect([unfit.status, unfit.value]).toMatchObject([
      1,
      { error: { code: 'bad-sweep', message: expect.stringContaining('run 002 (max_steps 0)') } },
    ]);
    const tooMany = await cliJson(['sweep', recipe, 'sweep.over={r: [8, 5000]}', 'output_dir=runs/many', '--csv', 'new/t.csv'], here);
    expect([tooMany.status, tooMany.value]).toMatchObject([
      1,
      { error: { code: 'bad-sweep', message: expect.stringMatching(/^run 'tiny 002': r 5000 is above/) } },
    ]);
    const changed = await cliJson(['sweep', 'runs/whole', 'max_steps=5'], here);
    expect([changed.status, changed.value]).toMatchObject([2, { error: { code: 'usage' } }]);
  });

  test('find-lr draws the curve of a rising rate and keeps nothing', async () => {
    const { status, value, stderr } = await cliJson(['find-lr', recipe, '--steps', '40'], here);
    expect(status, stderr).toBe(0);
    const { points, suggestion } = checkResult('find-rate', value);
    expect(points[0]?.learningRate).toBe(1e-7);
    expect(suggestion?.steepest).toBeGreaterThan(1e-4);
    expect(existsSync(inFolder('tiny'))).toBe(false);
    const refused = await cliJson(['find-lr', recipe, '--from', '1', '--to', '0.1'], here);
    expect([refused.status, refused.value]).toMatchObject([2, { error: { code: 'usage' } }]);
  });
});
