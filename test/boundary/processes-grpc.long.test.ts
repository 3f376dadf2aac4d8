/** Runs of two processes without MPI, over TensorFlow's collectives: results of one process, the end of a killed rank, and two networks. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { runCommand } from '../../trainer/engine/install/run-command.ts';
import { readMetrics } from '../../trainer/run/metrics-file.ts';
import { cacheDir, ROWTUNE } from '../support/daemon.ts';
import { distanceOf, expectCloseMetrics, lossesOf, runJobOfRun, signaledRun, trainedTensors, trainIn } from '../support/process-runs.ts';
import { makeTinyTask } from '../support/tiny-task.ts';
import { makeTwoNetworks } from '../support/two-networks.ts';
import { engineForTests } from '../unit/engine/engine-for-tests.ts';

const { engine, reason } = await engineForTests();
const task = makeTinyTask();
const folder = mkdtempSync(join(tmpdir(), 'rowtune-grpc-'));
const networks = engine ? makeTwoNetworks() : 'there is no engine';
const noNetworks = typeof networks === 'string' ? ` (skipped: ${networks})` : '';
afterAll(() => {
  if (typeof networks !== 'string') networks.remove();
  rmSync(folder, { recursive: true, force: true });
  rmSync(task.folder, { recursive: true, force: true });
});

const COMMON = ['engine=tensorflow', 'dtype=float32', 'threads=1', 'max_steps=4', 'logging_steps=1'];
const OVER_GRPC = ['processes=2', 'process_transport=grpc'];
/** As a person who has typed the command. */
const context = { ...task.context, opensPorts: true };
/** Relative; sums are in another order. */
const BOUND = 1e-5;

describe.skipIf(!engine)(`processes over gRPC ${reason}`, () => {
  test.each([
    { title: 'SPSFT with importance, clipping and evaluation', batch: 10, settings: ['importance.measure=taylor', 'eval_strategy=epoch'] },
    { title: 'LoRA with dropout, without clipping', batch: 4, settings: ['method=lora', 'lora_dropout=0.3', 'max_grad_norm=0'] },
    { title: 'full tuning with accumulation', batch: 4, settings: ['method=full', 'gradient_accumulation_steps=2', 'weight_decay=0.1'] },
  ])('$title: two processes give the result of one', async ({ title, batch, settings }) => {
    const dirs = ['one', 'two'].map(name => join(folder, title, name)) as [string, string];
    const one = await trainIn(dirs[0], task.recipe(...COMMON, ...settings, `per_device_train_batch_size=${batch}`), context);
    const shared = task.recipe(...COMMON, ...settings, ...OVER_GRPC, `per_device_train_batch_size=${batch / 2}`);
    const two = await trainIn(dirs[1], shared, context);
    expect(two.last, JSON.stringify(two.last)).toMatchObject({ type: 'result' });
    expectCloseMetrics(one, two, { names: ['loss', 'grad_norm', 'eval_loss', 'eval_token_accuracy'], bound: BOUND });
    expect(distanceOf(await trainedTensors(dirs[0], 4), await trainedTensors(dirs[1], 4))).toBeLessThan(BOUND);
  });

  test('a killed rank ends both for one reason, and the run continues', async () => {
    const runDir = join(folder, 'killed');
    const settings = ['max_steps=100000', 'save_strategy=steps', 'save_steps=2', 'lr_scheduler_type=constant'];
    const recipe = task.recipe(...COMMON, ...settings, ...OVER_GRPC, 'per_device_train_batch_size=2');
    // A busy machine may keep a healthy rank silent for seconds.
    const patient = { ...context, silentSeconds: 120 };
    const { last, pids } = await signaledRun({ recipe, runDir, context: patient, signal: 'SIGKILL', victim: 1 });
    const message = expect.stringMatching(/^rank 1 \(process \d+\) was killed \(SIGKILL\)/);
    expect(last).toMatchObject({ type: 'failed', code: 'rank-lost', message, hint: expect.stringContaining('rowtune resume') });
    expect(pids).toHaveLength(2);
    for (const pid of pids) await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
    const overrides = ['max_steps=12'];
    const resumed = await runJobOfRun({ kind: 'resume', runDir, overrides, context });
    expect(resumed.last).toMatchObject({ type: 'result' });
  });

  test('ports are opened for a person who has typed the command, and for nobody else', async () => {
    const recipe = task.recipe(...COMMON, ...OVER_GRPC);
    const { last } = await trainIn(join(folder, 'untyped'), recipe, task.context);
    expect(last).toMatchObject({
      type: 'failed',
      code: 'unsupported',
      message: expect.stringContaining('neither the editor nor the daemon starts it'),
    });
  });

  test.skipIf(noNetworks !== '')(`two networks with an address each train one run, found by TF_CONFIG${noNetworks}`, async () => {
    if (typeof networks === 'string') return;
    const recipe = join(task.folder, 'apart.rowtune.yaml');
    writeFileSync(recipe, task.text);
    const runDir = join(folder, 'apart');
    const worker = networks.addresses.map(address => `${address}:7017`);
    const settings = [...COMMON, 'per_device_train_batch_size=2', 'process_transport=grpc', `output_dir=${runDir}`];
    const ranks = networks.enter.map((enter, index) =>
      runCommand('ip', [...enter, process.execPath, ROWTUNE, 'train', recipe, '--no-daemon', ...settings], {
        env: { ROWTUNE_CACHE: cacheDir, TF_CONFIG: JSON.stringify({ cluster: { worker }, task: { type: 'worker', index } }) },
      }),
    );
    const [first, second] = await Promise.all(ranks);
    expect([first?.status, second?.status], `${first?.output}\n${second?.output}`).toEqual([0, 0]);
    expect(first?.output).toContain('this process listens on port 7017 of all addresses of its machine, without asking for a password');
    const one = await trainIn(join(folder, 'together'), task.recipe(...COMMON, 'per_device_train_batch_size=4'), task.context);
    const [expected, found] = [lossesOf(one.metrics), lossesOf(await readMetrics(runDir))];
    expect(found).toHaveLength(4);
    for (const [i, loss] of expected.entries()) expect(Math.abs((found[i] ?? Number.NaN) - loss)).toBeLessThan(BOUND * (1 + loss));
  });
});
