/**
 * Tests runs on a real Slurm of one node: submitted, continued after a notice and after preemption, stopped, and followed by several
 * commands in turn.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseRanks } from '../../client/pages/run-files.ts';
import { checkResult } from '../../trainer/cli/check-result.ts';
import { installMpi } from '../../trainer/engine/install/install-mpi.ts';
import { required } from '../../trainer/narrow.ts';
import { readMetrics } from '../../trainer/run/metrics-file.ts';
import { readRunState } from '../../trainer/run/run-state.ts';
import { cli, cliJson } from '../e2e/cli/run-cli.ts';
import { cacheDir, connectTo, ROWTUNE, startTestDaemon, until } from '../support/daemon/daemon.ts';
import { PARTITIONS, type SlurmNode, slurmHere, whyNoSlurm } from '../support/machine/slurm-node.ts';
import { makeTinyTask } from '../support/runs/tiny-task.ts';
import { engineForTests } from '../unit/engine/engine-for-tests.ts';

const { engine, reason } = await engineForTests();
const noSlurm = engine ? whyNoSlurm() : reason;
const task = makeTinyTask();
const recipe = join(task.folder, 'task.rowtune.yaml');
const SETTINGS = ['engine=tensorflow', 'dtype=float32', 'logging_steps=1', 'save_strategy=no', 'lr_scheduler_type=constant'];

/** The form of a list of runs, with the state of each on the cluster. */
const listForm = z.array(z.looseObject({ runDir: z.string(), cluster: z.looseObject({ phase: z.string() }).optional() }));

describe.skipIf(noSlurm !== undefined)(`Slurm${noSlurm === undefined ? '' : ` (skipped: ${noSlurm})`}`, () => {
  let slurm: SlurmNode;
  let env: Readonly<Record<string, string>>;
  /** Why the daemons do not run; undefined if they do. */
  let stopped: string | undefined;
  beforeAll(async () => {
    await installMpi({ cacheDir, log: () => undefined });
    writeFileSync(recipe, task.text);
    const found = await slurmHere();
    if (typeof found === 'string') {
      stopped = found;
      return;
    }
    slurm = found;
    env = { ...slurm.environment, ROWTUNE_CACHE: cacheDir };
  });
  beforeEach(context => context.skip(stopped !== undefined, stopped));
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
  /** Holds pending jobs in the queue ('DOWN'), so that they can be inspected there, or lets them start. */
  const setQueue = (state: 'DOWN' | 'UP'): Promise<string> =>
    slurm.ask('scontrol', 'update', `PartitionName=${PARTITIONS.low}`, `State=${state}`);
  /** Ends all queued and running jobs, even after a failed test. */
  afterEach(async () => {
    if (stopped !== undefined) return;
    await setQueue('UP');
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

  // Allows for five starts of a run on a busy machine.
  test('a warning signal or a preemption saves the run, which then continues by itself until it is stopped', {
    timeout: 600_000,
  }, async () => {
    const { runDir, id, value } = await submit('long', 'tasks_per_node: 2\n', 'max_steps=1000000', 'per_device_train_batch_size=1');
    expect(value).toMatchObject({ ok: true, detached: true, processes: 2 });
    await makesUpdates(runDir, 3);
    await setQueue('DOWN');
    // As Slurm does before the time limit.
    await slurm.ask('scancel', '--signal=TERM', id);
    await waitsAgain(id);
    const first = newestCheckpoint(runDir);
    expect(await readRunState(runDir)).toMatchObject({ state: 'stopped', step: first });
    await setQueue('UP');
    await makesUpdates(runDir, first);
    await setQueue('DOWN');
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
    await setQueue('UP');
    await makesUpdates(runDir, second);
    expect(await stateOf(urgent)).toBe('COMPLETED');
    const { value: stopped } = await rowtune('runs', '--stop', runDir);
    expect(stopped).toMatchObject({ ok: true, state: 'stopped' });
    await until(async () => (await stateOf(id)) === 'COMPLETED', 'the end of the job');
    const steps = (await readMetrics(runDir)).flatMap(({ step, loss }) => (loss === undefined ? [] : [step]));
    expect(steps).toEqual(Array.from({ length: Number(stopped.steps) }, (_, i) => i + 1));
    const { ranks } = required(parseRanks(readFileSync(join(runDir, 'ranks.json'), 'utf8')), 'ranks.json');
    expect(ranks).toHaveLength(2);
    expect(readFileSync(join(`${runDir}.slurm`, `log-${id}.txt`), 'utf8')).toContain('Slurm (srun) started 2 processes, 2 on this machine');
    // Only the user continues what the user stopped.
    const resumed = await rowtune('resume', runDir, '--on', 'slurm', '--detach');
    await makesUpdates(runDir, Number(stopped.steps));
    await rowtune('runs', '--stop', runDir);
    expect(String(resumed.value.slurmJob)).not.toBe(id);
  });

  test('a command that follows a run may be killed, and the next one reports the result', async () => {
    const runDir = join(task.folder, 'runs', 'short');
    const seen = await cli(['train', recipe, '--on', 'slurm', `output_dir=${runDir}`, ...SETTINGS, 'max_steps=5'], {
      env,
      cwd: task.folder,
      onStderr: (text, child) => text.includes('job ') && child.kill('SIGKILL'),
    });
    expect(seen.signal).toBe('SIGKILL');
    const { value } = await rowtune('runs', '--follow', runDir);
    expect(value).toMatchObject({ ok: true, state: 'finished', steps: 5 });
    const { stderr, status } = await cli(['resume', runDir, '--on', 'slurm'], { env, cwd: task.folder });
    expect([status, stderr]).toEqual([1, expect.stringContaining('has completed all of its 5 updates')]);
  });

  test('a waiting job is listed with its place in the queue, and can be removed from it', async () => {
    const { runDir, id } = await submit('later', 'sbatch: [--begin=now+1hour]\n', 'max_steps=5');
    const { stderr } = await cli(['runs', '--follow', runDir], {
      env,
      cwd: task.folder,
      onStderr: (text, child) => text.includes('pending') && child.kill('SIGINT'),
    });
    expect(stderr).toContain(`job ${id}: pending (BeginTime), next in its partition`);
    const text = 'pending (BeginTime), next in its partition';
    const [listed] = listForm.parse((await rowtune('runs', runDir)).value.runs);
    expect(listed).toMatchObject({ runDir, state: 'queued', cluster: { jobId: id, phase: 'waiting', text } });
    expect((await rowtune('runs', '--stop', runDir)).value).toMatchObject({ ok: true, state: 'cancelled' });
    expect(await stateOf(id)).toBe('CANCELLED');
  });

  test('the daemon shows where a run is, does not disturb it, and can stop it', async () => {
    const { runDir, id } = await submit('seen', 'tasks_per_node: 1\n', 'max_steps=1000000');
    await makesUpdates(runDir, 2);
    const before = process.env.SLURM_CONF;
    process.env.SLURM_CONF = slurm.environment.SLURM_CONF;
    const daemon = await startTestDaemon();
    try {
      const client = await connectTo(daemon, true);
      const { runs } = await client.request('listRuns', { folders: [runDir] });
      const log = join(`${runDir}.slurm`, `log-${id}.txt`);
      expect(runs).toMatchObject([
        { runDir, cluster: { jobId: id, phase: 'running', text: `running on ${slurm.name}`, node: slurm.name, log } },
      ]);
      await expect(client.request('resume', { id: 'again', runDir })).rejects.toMatchObject({ code: 'run-busy' });
      await expect(client.request('deleteRun', { runDir })).rejects.toMatchObject({ code: 'run-busy' });
      await client.request('stopOnCluster', { runDir, save: true });
      await until(async () => (await readRunState(runDir))?.state === 'stopped', 'the run to stop');
      await until(async () => (await stateOf(id)) === 'COMPLETED', 'the end of the job');
      expect(newestCheckpoint(runDir)).toBeGreaterThan(2);
      await expect(client.request('stopOnCluster', { runDir, save: true })).rejects.toMatchObject({ code: 'job-missing' });
    } finally {
      await daemon.stop();
      if (before === undefined) delete process.env.SLURM_CONF;
      else process.env.SLURM_CONF = before;
    }
  });

  const SWEEP = ['sweep.over={learning_rate: [1.0e-4, 1.0e-2, 1.0e-3]}', 'sweep.strategy=halving', 'sweep.reduction_factor=2'];
  const EVALUATED = ['eval_strategy=steps', 'eval_steps=500', 'max_steps=2000', 'logging_steps=50'];
  const WORKERS = 'workers: 2\ncpus_per_task: 1\nlost_after_seconds: 20\n';
  const sweepArguments = (name: string): string[] => {
    const given = ['--on', 'slurm', '--profile', profile(`${name}.slurm.yaml`, WORKERS), `output_dir=${join(task.folder, 'runs', name)}`];
    return ['sweep', recipe, ...given, ...SETTINGS, ...SWEEP, ...EVALUATED];
  };
  const journalOf = (sweepDir: string): readonly string[] => {
    const folder = join(sweepDir, 'journal');
    const names = existsSync(folder) ? readdirSync(folder).filter(name => name.endsWith('.json')) : [];
    return names.sort().map(name => readFileSync(join(folder, name), 'utf8'));
  };
  const trainedNumbers = (runDir: string): Buffer => {
    const [last = ''] = readdirSync(join(runDir, 'checkpoints')).sort().slice(-1);
    return readFileSync(join(runDir, 'checkpoints', last, 'adapter_model.safetensors'));
  };

  test('a sweep survives its command and a killed worker, and its best run is that run alone', { timeout: 600_000 }, async () => {
    const sweepDir = join(task.folder, 'runs', 'sweep');
    const seen = await cli(sweepArguments('sweep'), {
      env,
      cwd: task.folder,
      onStderr: (text, child) => text.includes('job array') && child.kill('SIGKILL'),
    });
    expect(seen.signal).toBe('SIGKILL');
    /** The process of a run that is currently training. */
    const pidOf = async (): Promise<number | undefined> => {
      const states = await Promise.all(['001', '002', '003'].map(id => readRunState(join(sweepDir, id))));
      return states.find(state => state?.state === 'running')?.pid;
    };
    await until(async () => (await pidOf()) !== undefined, 'the first run to train');
    const listed = listForm.parse((await rowtune('runs', sweepDir)).value.runs);
    expect(listed.map(run => basename(run.runDir)).sort()).toEqual(['001', '002', '003']);
    // On a busy machine, the first part of the run may be over when the list is read.
    const first = listed.find(run => run.runDir === join(sweepDir, '001'));
    const log = expect.stringMatching(/log-\d+_\d\.txt$/);
    expect(first?.cluster).toMatchObject({ phase: expect.stringMatching(/^(running|waiting)$/), node: slurm.name, log });
    for (const { cluster } of listed) expect(cluster?.phase).not.toBe('ended');
    let trains: number | undefined;
    await until(async () => {
      trains = await pidOf();
      return trains !== undefined;
    }, 'a run that trains');
    // Slurm kills all processes of a step that runs out of memory in the same way.
    for (const pid of ancestors(required(trains, 'a run that trains'))) process.kill(pid, 'SIGKILL');
    const { value } = await rowtune('runs', '--follow', sweepDir);
    expect(value).toMatchObject({ ok: true, state: 'finished', best: '002' });
    const { runs } = checkResult('sweep', value);
    expect(runs.map(({ id, state }) => `${id} ${state}`).sort()).toEqual(['001 paused', '002 finished', '003 paused']);
    for (const { node, log: own } of runs) {
      expect(node).toBe(slurm.name);
      expect(readFileSync(String(own), 'utf8')).toContain('of the sweep in');
    }
    const entries = journalOf(sweepDir);
    expect(entries.filter(text => text.includes('was lost'))).toHaveLength(1);
    const { stdout } = await cli(['sweep', sweepDir, '--status'], { env, cwd: task.folder });
    expect(stdout).toMatch(/002 .*finished +\S+ +\S*log-\d+_\d\.txt/);
    expect(stdout).toContain('stopped early');
    // When continued, the sweep has nothing to do and decides nothing.
    await rowtune('sweep', sweepDir, '--on', 'slurm');
    expect(journalOf(sweepDir).slice(0, entries.length)).toEqual(entries);
    const alone = join(task.folder, 'runs', 'alone');
    const settings = [...SETTINGS, ...EVALUATED, 'learning_rate=1e-2', 'threads=1'];
    expect((await rowtune('train', recipe, '--no-daemon', `output_dir=${alone}`, ...settings)).value).toMatchObject({ ok: true });
    expect(trainedNumbers(join(sweepDir, '002')).equals(trainedNumbers(alone))).toBe(true);
  });

  test('a sweep that was stopped continues with the decisions that it had', { timeout: 600_000 }, async () => {
    const sweepDir = join(task.folder, 'runs', 'stopped');
    const { value } = await rowtune(...sweepArguments('stopped'), '--detach');
    expect(value).toMatchObject({ ok: true, detached: true, runs: 3, workers: 2 });
    await until(() => journalOf(sweepDir).some(text => text.includes('"result"')), 'the result of a run');
    const { value: stopped } = await rowtune('runs', '--stop', sweepDir);
    expect(stopped).toMatchObject({ ok: true, state: 'stopped' });
    const before = journalOf(sweepDir);
    expect(before.some(text => text.includes('"problem"'))).toBe(false);
    const wrong = profile('wrong.slurm.yaml', 'workers: many\n');
    const { status } = await cli(['sweep', sweepDir, '--on', 'slurm', '--profile', wrong], { env, cwd: task.folder });
    expect(status).toBe(1);
    expect(journalOf(sweepDir)).toEqual(before);
    const { value: continued } = await rowtune('sweep', sweepDir, '--on', 'slurm');
    expect(continued).toMatchObject({ ok: true, state: 'finished', best: '002' });
    expect(journalOf(sweepDir).slice(0, before.length)).toEqual(before);
  });

  test('the runs of a sweep train in as many processes as the profile asks for', { timeout: 600_000 }, async () => {
    const sweepDir = join(task.folder, 'runs', 'ranks');
    const file = profile('ranks.slurm.yaml', 'tasks_per_node: 2\ncpus_per_task: 1\nworkers: 1\n');
    const own = [...SETTINGS, 'eval_strategy=steps', 'eval_steps=20', 'max_steps=20', 'per_device_train_batch_size=2'];
    const over = 'sweep.over={learning_rate: [1.0e-4, 1.0e-2]}';
    const { value } = await rowtune('sweep', recipe, '--on', 'slurm', '--profile', file, `output_dir=${sweepDir}`, over, ...own);
    expect(value).toMatchObject({ ok: true, state: 'finished', best: '002' });
    const { ranks } = required(parseRanks(readFileSync(join(sweepDir, '002', 'ranks.json'), 'utf8')), 'ranks.json');
    expect(ranks).toHaveLength(2);
    const alone = join(task.folder, 'runs', 'ranks-alone');
    const settings = [...own, 'learning_rate=1e-2', 'threads=1'];
    const single = await rowtune('train', recipe, '--no-daemon', '--processes', '2', `output_dir=${alone}`, ...settings);
    expect(single.value).toMatchObject({ ok: true });
    expect(trainedNumbers(join(sweepDir, '002')).equals(trainedNumbers(alone))).toBe(true);
  });

  test('a submission that Slurm rejects leaves no folder', async () => {
    const runDir = join(task.folder, 'runs', 'rejected');
    const options = ['--on', 'slurm', '--profile', profile('rejected.slurm.yaml', 'partition: nowhere\n'), `output_dir=${runDir}`];
    const { stderr, status } = await cli(['train', recipe, ...options, ...SETTINGS], { env, cwd: task.folder });
    expect([status, stderr]).toEqual([1, expect.stringContaining('sbatch failed')]);
    expect(readdirSync(join(task.folder, 'runs')).filter(name => name.startsWith('rejected'))).toEqual([]);
  });

  test('a sweep whose runs would need several nodes is refused', async () => {
    const file = profile('many.slurm.yaml', 'nodes: 2\n');
    const { stderr, status } = await cli(['sweep', recipe, '--on', 'slurm', '--profile', file, ...SWEEP, ...EVALUATED], {
      env,
      cwd: task.folder,
    });
    expect([status, stderr]).toEqual([1, expect.stringContaining('a sweep trains each of its runs on one node')]);
  });

  test('a run that the daemon submits trains on the node, and is stopped', { timeout: 600_000 }, async () => {
    const before = { ...process.env };
    Object.assign(process.env, env);
    const daemon = await startTestDaemon({ command: [process.execPath, ROWTUNE] });
    try {
      const client = await connectTo(daemon);
      const source = { text: task.text, fileName: 'task.rowtune.yaml', baseDir: task.folder };
      const runDir = join(task.folder, 'runs', 'by-daemon');
      const overrides = [`output_dir=${runDir}`, ...SETTINGS, 'max_steps=1000000'];
      const submitted = await client.request('submitToCluster', { id: '1', what: { kind: 'train', recipe: { ...source, overrides } } });
      expect(submitted).toMatchObject({ folder: runDir, text: '1 process' });
      await makesUpdates(runDir, 2);
      await client.request('stopOnCluster', { runDir, save: true });
      await until(async () => (await stateOf(submitted.jobId)) === 'COMPLETED', 'the end of the job');
      const saved = newestCheckpoint(runDir);
      const again = await client.request('submitToCluster', { id: '2', what: { kind: 'continue', folder: runDir } });
      await makesUpdates(runDir, saved);
      await client.request('stopOnCluster', { runDir, save: true });
      await until(async () => (await stateOf(again.jobId)) === 'COMPLETED', 'the end of the second job');
    } finally {
      await daemon.stop();
      for (const name of Object.keys(env)) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    }
  });

  test.each([
    ['partition: "low; rm -rf"\n', /partition: must be one word/],
    ['nodes: 0\ngpus_per_tasks: 1\n', /nodes: .*there is no setting 'gpus_per_tasks'; did you mean 'gpus_per_task'\?/],
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

/** A training process and its ancestors among our processes: the sweep's worker and the command. */
function ancestors(pid: number): readonly number[] {
  const found: number[] = [];
  for (let at = pid; at > 1; ) {
    if (!readFileSync(`/proc/${at}/cmdline`, 'utf8').includes('node')) break;
    found.push(at);
    const stat = readFileSync(`/proc/${at}/stat`, 'utf8');
    at = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  }
  return found;
}
