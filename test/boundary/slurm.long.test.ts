/** Runs under a real Slurm of one node: submitted, continued after a notice and after preemption, stopped, followed by one command after another. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { installMpi } from '../../trainer/engine/install/install-mpi.ts';
import { readMetrics } from '../../trainer/run/metrics-file.ts';
import { readRunState } from '../../trainer/run/run-state.ts';
import { cli, cliJson } from '../e2e/cli/run-cli.ts';
import { cacheDir, until } from '../support/daemon.ts';
import { PARTITIONS, type SlurmNode, startSlurm, whyNoSlurm } from '../support/slurm-node.ts';
import { makeTinyTask } from '../support/tiny-task.ts';
import { engineForTests } from '../unit/engine/engine-for-tests.ts';

const { engine, reason } = await engineForTests();
const noSlurm = engine ? whyNoSlurm() : reason;
const task = makeTinyTask();
const recipe = join(task.folder, 'task.rowtune.yaml');
const SETTINGS = ['engine=tensorflow', 'dtype=float32', 'logging_steps=1', 'save_strategy=no', 'lr_scheduler_type=constant'];

describe.skipIf(noSlurm !== undefined)(`Slurm${noSlurm === undefined ? '' : ` (skipped: ${noSlurm})`}`, () => {
  let slurm: SlurmNode;
  let env: Readonly<Record<string, string>>;
  beforeAll(async () => {
    await installMpi({ cacheDir, log: () => undefined });
    writeFileSync(recipe, task.text);
    slurm = await startSlurm();
    env = { ...slurm.environment, ROWTUNE_CACHE: cacheDir };
  });
  afterAll(async () => {
    await slurm?.stop();
    rmSync(task.folder, { recursive: true, force: true });
  });

  const rowtune = (...args: string[]) => cliJson(args, { env, cwd: task.folder });
  const stateOf = (id: string) => slurm.ask('squeue', '--noheader', '--states=all', `--jobs=${id}`, '--format=%T');
  const profile = (name: string, text: string): string => {
    const file = join(task.folder, name);
    writeFileSync(file, text);
    return file;
  };
  /** Whatever is still in the queue or runs, when a test has failed too. */
  afterEach(async () => {
    await slurm.ask('scancel', '--full', '--user=root');
    await until(async () => (await slurm.ask('squeue', '--noheader')) === '', 'the end of all jobs');
  });
  const submit = async (name: string, profileText: string, ...settings: string[]) => {
    const runDir = join(task.folder, 'runs', name);
    const options = ['--on', 'slurm', '--detach', '--profile', profile(`${name}.slurm.yaml`, profileText)];
    const { value } = await rowtune('train', recipe, ...options, `output_dir=${runDir}`, ...SETTINGS, ...settings);
    return { runDir, id: String(value.slurmJob), value };
  };
  const makesUpdates = (runDir: string, from: number): Promise<void> =>
    until(async () => {
      const state = await readRunState(runDir);
      return state?.state === 'running' && state.step > from;
    }, `updates after ${from} in ${runDir}`);
  const newestCheckpoint = (runDir: string): number =>
    Math.max(...readdirSync(join(runDir, 'checkpoints')).map(name => Number(name.replace('step-', ''))));
  const waitsAgain = (id: string): Promise<void> => until(async () => (await stateOf(id)) === 'PENDING', `job ${id} in the queue again`);

  // Five starts of a run, on a machine that does other things too.
  test('a notice and a preemption save the run, and it continues by itself until it is stopped', { timeout: 600_000 }, async () => {
    const { runDir, id, value } = await submit('long', 'tasks_per_node: 2\n', 'max_steps=1000000', 'per_device_train_batch_size=1');
    expect(value).toMatchObject({ ok: true, detached: true, processes: 2 });
    await makesUpdates(runDir, 3);
    // As Slurm does it before the end of the time.
    await slurm.ask('scancel', '--signal=TERM', id);
    await waitsAgain(id);
    const first = newestCheckpoint(runDir);
    expect(await readRunState(runDir)).toMatchObject({ state: 'stopped', step: first });
    await makesUpdates(runDir, first);
    const urgent = await slurm.ask(
      'sbatch',
      '--parsable',
      `--partition=${PARTITIONS.high}`,
      '--exclusive',
      '--output=/dev/null',
      '--wrap=true',
    );
    await waitsAgain(id);
    const second = newestCheckpoint(runDir);
    expect(second).toBeGreaterThan(first);
    await makesUpdates(runDir, second);
    expect(await stateOf(urgent)).toBe('COMPLETED');
    const { value: stopped } = await rowtune('runs', '--stop', runDir);
    expect(stopped).toMatchObject({ ok: true, state: 'stopped' });
    expect(await stateOf(id)).toBe('COMPLETED');
    const steps = (await readMetrics(runDir)).flatMap(({ step, loss }) => (loss === undefined ? [] : [step]));
    expect(steps).toEqual(Array.from({ length: Number(stopped.steps) }, (_, i) => i + 1));
    const { ranks } = JSON.parse(readFileSync(join(runDir, 'ranks.json'), 'utf8'));
    expect(ranks).toHaveLength(2);
    expect(readFileSync(join(`${runDir}.slurm`, `log-${id}.txt`), 'utf8')).toContain('Slurm (srun) started 2 processes, 2 on this machine');
    // What the user has stopped, the user continues.
    const resumed = await rowtune('resume', runDir, '--on', 'slurm', '--detach');
    await makesUpdates(runDir, Number(stopped.steps));
    await rowtune('runs', '--stop', runDir);
    expect(String(resumed.value.slurmJob)).not.toBe(id);
  });

  test('a command that follows a run may be killed; the next one gives its result', async () => {
    const runDir = join(task.folder, 'runs', 'short');
    const seen = await cli(['train', recipe, '--on', 'slurm', `output_dir=${runDir}`, ...SETTINGS, 'max_steps=5'], {
      env,
      cwd: task.folder,
      onStderr: (text, child) => text.includes('job ') && child.kill('SIGKILL'),
    });
    expect(seen.signal).toBe('SIGKILL');
    const { value } = await rowtune('runs', '--follow', runDir);
    expect(value).toMatchObject({ ok: true, state: 'finished', steps: 5 });
  });

  test('a job that waits is shown with its place, and leaves the queue', async () => {
    const { runDir, id } = await submit('later', 'sbatch: [--begin=now+1hour]\n', 'max_steps=5');
    const { stderr } = await cli(['runs', '--follow', runDir], {
      env,
      cwd: task.folder,
      onStderr: (text, child) => text.includes('pending') && child.kill('SIGINT'),
    });
    expect(stderr).toContain(`job ${id}: pending (BeginTime), next in its partition`);
    expect((await rowtune('runs', '--stop', runDir)).value).toMatchObject({ ok: true, state: 'cancelled' });
    expect(await stateOf(id)).toBe('CANCELLED');
  });

  test.each([
    ['partition: "low; rm -rf"\n', /partition: must be one word/],
    ['nodes: 0\ngpus: 1\n', /nodes: .*Unrecognized key: "gpus"/],
    ['partition: nowhere\n', /invalid partition/],
  ])('the profile %j is refused', async (text, expected) => {
    mkdirSync(join(task.folder, 'bad'), { recursive: true });
    const { stderr, status } = await cli(['train', recipe, '--on', 'slurm', '--detach', '--profile', profile('bad/slurm.yaml', text)], {
      env,
      cwd: task.folder,
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(expected);
  });
});
