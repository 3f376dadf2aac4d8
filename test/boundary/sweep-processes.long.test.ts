/**
 * Tests a sweep whose runs train in two processes each. If killed in the middle, it ends like an undisturbed one, and its best run equals
 * that run trained alone.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseRanks } from '../../client/pages/run-files.ts';
import { checkResult } from '../../trainer/cli/check-result.ts';
import { installMpi } from '../../trainer/engine/install/install-mpi.ts';
import { required } from '../../trainer/narrow.ts';
import { readRunState } from '../../trainer/run/run-state.ts';
import { cli, cliJson } from '../e2e/cli/run-cli.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { until } from '../support/machine/until.ts';
import { makeTinyTask } from '../support/runs/tiny-task.ts';
import { engineForTests } from '../unit/engine/engine-for-tests.ts';

const { engine, reason } = await engineForTests();
const task = makeTinyTask();
const folder = mkdtempSync(join(tmpdir(), 'rowtune-sweep-ranks-'));
const recipe = join(task.folder, 'task.rowtune.yaml');
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  rmSync(task.folder, { recursive: true, force: true });
});

const SETTINGS = [
  ...['engine=tensorflow', 'dtype=float32', 'processes=2', 'threads=1', 'per_device_train_batch_size=2', 'lr_scheduler_type=constant'],
  ...['max_steps=12', 'eval_strategy=steps', 'eval_steps=4', 'logging_steps=1'],
];
const SWEEP = [
  ...['sweep.over={learning_rate: [1.0e-4, 1.0e-2, 1.0e-3], gradient_exchange_dtype: [float32]}', 'sweep.strategy=halving'],
  ...['sweep.reduction_factor=2', 'sweep.parallel=1'],
];
const sweep = (name: string): readonly string[] => [
  'sweep',
  recipe,
  '--no-daemon',
  `output_dir=${join(folder, name)}`,
  ...SETTINGS,
  ...SWEEP,
];
const options = { cwd: task.folder, env: { ROWTUNE_CACHE: cacheDir } };

function trainedNumbers(run: string): Buffer {
  const checkpoints = join(folder, run, 'checkpoints');
  const [last = ''] = readdirSync(checkpoints).sort().slice(-1);
  return readFileSync(join(checkpoints, last, 'adapter_model.safetensors'));
}

const pidsOf = async (runDir: string): Promise<readonly number[]> =>
  (await Promise.all([runDir, join(runDir, 'ranks', 'rank-1')].map(readRunState))).flatMap(state =>
    state?.state === 'running' ? [state.pid] : [],
  );

describe.skipIf(!engine)(`a sweep in several processes ${reason}`, () => {
  beforeAll(async () => {
    await installMpi({ cacheDir, log: () => undefined });
    writeFileSync(recipe, task.text);
    const { value, stderr } = await cliJson(sweep('whole'), options);
    expect(value, stderr).toMatchObject({ ok: true, state: 'finished', best: '002' });
  });

  test('each run has two ranks', () => {
    const { ranks } = required(parseRanks(readFileSync(join(folder, 'whole', '002', 'ranks.json'), 'utf8')), 'ranks.json');
    expect(ranks).toHaveLength(2);
  });

  test('its best run equals that run alone, to the bit', async () => {
    const { value } = await cliJson(
      ['train', recipe, '--no-daemon', `output_dir=${join(folder, 'alone')}`, ...SETTINGS, 'learning_rate=1e-2'],
      options,
    );
    expect(value).toMatchObject({ ok: true, state: 'finished' });
    expect(trainedNumbers('alone').equals(trainedNumbers('whole/002'))).toBe(true);
  });

  test('killed with a rank of its run, it leaves no process, and continues to the same result', async () => {
    const sweepDir = join(folder, 'killed');
    const ended = cli(sweep('killed'), options);
    const running = async () => pidsOf(join(sweepDir, '002'));
    await Promise.race([until(async () => (await running()).length === 2, 'both ranks of run 002'), ended]);
    const ranks = await running();
    const claims = readdirSync(join(sweepDir, 'lock')).map(name => Number(name.split('.')[0]));
    for (const pid of [...claims, required(ranks[1], 'rank 1')]) process.kill(pid, 'SIGKILL');
    expect((await ended).status).toBe(1);
    for (const pid of ranks) await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 60_000 }).toBe(false);
    const { value, stderr } = await cliJson(['sweep', sweepDir, '--no-daemon'], options);
    expect(value, stderr).toMatchObject({ ok: true, state: 'finished', best: '002' });
    const states = ({ value: of }: { readonly value: unknown }) =>
      checkResult('sweep', of).runs.map(({ id, state, value: metric }) => [id, state, metric]);
    expect(states({ value })).toEqual(states(await cliJson(['sweep', join(folder, 'whole'), '--status'], options)));
    expect(trainedNumbers('killed/002').equals(trainedNumbers('whole/002'))).toBe(true);
    expect(readFileSync(join(sweepDir, 'decisions.jsonl'), 'utf8')).toBe(readFileSync(join(folder, 'whole', 'decisions.jsonl'), 'utf8'));
  });
});
