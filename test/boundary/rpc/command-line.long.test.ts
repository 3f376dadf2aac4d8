/** Tests `rowtune train` with a running daemon: the same progress and result as without; detached, followed, stopped, resumed. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { DaemonClient } from '../../../trainer/rpc/connection/connect.ts';
import type { Daemon } from '../../../trainer/rpc/daemon.ts';
import { readRunRecipe, summarizeRun } from '../../../trainer/run/run-folder.ts';
import { type CliOptions, cli, lastValue } from '../../e2e/cli/run-cli.ts';
import { connectTo, connectToState, makeStateDir, startTestDaemon, until } from '../../support/daemon/daemon.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
const stateDir = makeStateDir();
let daemon: Daemon;
let client: DaemonClient;

beforeAll(async () => {
  writeFileSync(join(task.folder, 'spam.rowtune.yaml'), `${task.text}engine: portable\nmax_steps: 4\nlogging_steps: 1\n`);
  daemon = await startTestDaemon({ stateDir });
  client = await connectTo(daemon);
});
afterAll(async () => {
  client.close();
  await daemon.stop();
  rmSync(task.folder, { recursive: true, force: true });
});

async function rowtune(args: readonly string[], onStderr?: CliOptions['onStderr'], stateDirectory = stateDir) {
  const run = await cli([...args, '--json'], { env: { ROWTUNE_STATE: stateDirectory }, cwd: task.folder, onStderr });
  return { ...run, value: lastValue(run) };
}
const runDir = (name: string): string => join(task.folder, 'runs', name);
const LONG = ['max_steps=-1', 'num_train_epochs=5000', 'save_steps=5'];
const stateOf = async (name: string) => (await summarizeRun(runDir(name)))?.state;

describe('train', () => {
  test('is a job of the daemon, with the same output and losses as without a daemon', async () => {
    const [here, there] = [
      await rowtune(['train', 'spam.rowtune.yaml', '--no-daemon', 'output_dir=runs/here']),
      await rowtune(['train', 'spam.rowtune.yaml', 'output_dir=runs/there']),
    ];
    expect([here.status, there.status], there.stderr).toEqual([0, 0]);
    expect(there.value).toMatchObject({ ok: true, state: 'finished', steps: 4, runDir: runDir('there') });
    // The training is equal bit for bit.
    expect(there.value.loss).toBeTypeOf('number');
    expect(there.value.loss).toBe(here.value.loss);
    for (const { stderr } of [here, there]) expect(stderr).toMatch(/train 4\/4 steps, loss /);
    expect(there.stderr).toContain('the daemon (process');
    const jobs = await client.request('listJobs', {});
    expect(jobs.map(({ kind, state, runDir: folder }) => [kind, state, folder])).toEqual([['train', 'succeeded', runDir('there')]]);
  });

  test('fails with the words of the job', async () => {
    const { status, value } = await rowtune(['train', 'spam.rowtune.yaml', 'model=./no-such-model', 'output_dir=runs/bad']);
    expect(status).toBe(1);
    expect(value).toMatchObject({ ok: false, error: { code: 'model-file', message: expect.stringContaining('no-such-model') } });
  });

  test('Ctrl-C stops and saves the job; a killed command leaves it alone', async () => {
    let sent = false;
    const interrupted = await rowtune(['train', 'spam.rowtune.yaml', 'output_dir=runs/stopped', ...LONG], (text, child) => {
      if (sent || !/train [\d,]+\/[\d,]+ steps/.test(text)) return;
      sent = true;
      child.kill('SIGINT');
    });
    expect(interrupted.status, interrupted.stderr).toBe(0);
    expect(interrupted.stderr).toContain('stopping at the next safe point and saving');
    expect(interrupted.value).toMatchObject({ ok: true, state: 'stopped' });
    expect(await stateOf('stopped')).toBe('stopped');
    let killed = false;
    const gone = await rowtune(['train', 'spam.rowtune.yaml', 'output_dir=runs/alone', ...LONG], (text, child) => {
      if (killed || !/train [\d,]+\/[\d,]+ steps/.test(text)) return;
      killed = true;
      child.kill('SIGKILL');
    });
    expect(gone.status).toBeNull();
    const before = (await summarizeRun(runDir('alone')))?.step ?? 0;
    await until(async () => ((await summarizeRun(runDir('alone')))?.step ?? 0) > before, 'it trains on');
    const ended = await rowtune(['runs', '--stop', 'runs/alone']);
    expect(ended.value).toMatchObject({ ok: true, state: 'stopped', runDir: runDir('alone') });
  });

  test('--detach returns at once; the run is followed, left alone, stopped and resumed', async () => {
    const started = await rowtune(['train', 'spam.rowtune.yaml', '--detach', 'output_dir=runs/detached', ...LONG]);
    expect(started.status).toBe(0);
    expect(started.value).toMatchObject({ ok: true, detached: true, runDir: runDir('detached'), id: expect.any(String) });
    let sent = false;
    const followed = await rowtune(['runs', '--follow', 'runs/detached'], (text, child) => {
      if (sent || !/train [\d,]+\/[\d,]+ steps/.test(text)) return;
      sent = true;
      child.kill('SIGINT');
    });
    expect(followed.status, followed.stderr).toBe(0);
    expect(followed.value).toMatchObject({ left: true });
    expect(await stateOf('detached')).toBe('running');
    expect((await rowtune(['runs', '--stop', 'runs/detached'])).status).toBe(0);
    const resumed = await rowtune(['resume', 'runs/detached', '--detach']);
    expect(resumed.value).toMatchObject({ detached: true, runDir: runDir('detached') });
    await until(async () => (await stateOf('detached')) === 'running', 'it continues');
    expect((await rowtune(['runs', '--stop', 'runs/detached'])).value).toMatchObject({ state: 'stopped' });
    const { step = 0 } = (await summarizeRun(runDir('detached'))) ?? {};
    const more = await rowtune(['resume', 'runs/detached', `max_steps=${step + 2}`]);
    expect(more.value, more.stderr).toMatchObject({ ok: true, state: 'finished', steps: step + 2 });
    const over = await rowtune(['runs', '--stop', 'runs/detached']);
    expect([over.status, over.value]).toEqual([2, expect.objectContaining({ error: expect.objectContaining({ code: 'job-missing' }) })]);
    const again = await rowtune(['train', 'spam.rowtune.yaml', '--detach', 'output_dir=runs/detached']);
    expect(again.value).toMatchObject({ error: { code: 'output-not-empty' } });
  });

  test('of a run that the daemon does not know, the result is shown if it has one', async () => {
    const { status, value } = await rowtune(['runs', '--follow', 'runs/nowhere']);
    expect(status).toBe(2);
    expect(value).toMatchObject({ error: { code: 'job-missing' } });
    expect((await rowtune(['runs', '--follow', 'runs/here'])).value).toMatchObject({ ok: true, state: 'finished', steps: 4 });
  });
});

describe('paths', () => {
  /** The current folder differs from the recipe's, and each contains a file that must be found there. */
  const elsewhere = join(task.folder, 'elsewhere');
  const run = async (args: readonly string[], stdin = '') => {
    const made = await cli([...args, '--json'], { env: { ROWTUNE_STATE: stateDir }, cwd: elsewhere, stdin });
    return { ...made, value: lastValue(made) };
  };
  beforeAll(() => {
    mkdirSync(elsewhere);
    cpSync(join(task.folder, 'heldout.jsonl'), join(elsewhere, 'here.jsonl'));
  });

  test.each([
    ['without a daemon', ['--no-daemon']],
    ['by the daemon', []],
  ])('of a recipe start from its own folder, those of overrides from the current one: %s', async (_, how) => {
    const made = await run(['train', '../spam.rowtune.yaml', 'data.train=here.jsonl', 'max_steps=1', ...how]);
    expect(made.status, made.stderr).toBe(0);
    const folder = String(made.value.runDir);
    // As from the editor: next to the recipe.
    expect(dirname(folder)).toBe(join(task.folder, 'runs'));
    const { model, data } = await readRunRecipe(folder);
    expect(model).toBe(join(task.folder, 'model'));
    expect(data).toMatchObject({ train: [join(elsewhere, 'here.jsonl')], eval: [join(task.folder, 'heldout.jsonl')] });
  });

  test('of a recipe from standard input start from the current folder', async () => {
    const text = `${task.text.replace('train.jsonl', 'here.jsonl').replace('heldout.jsonl', 'here.jsonl')}engine: portable\nmax_steps: 1\n`;
    const made = await run(['train', '-', '--no-daemon', 'model=../model', 'output_dir=out'], text);
    expect(made.value, made.stderr).toMatchObject({ ok: true, runDir: join(elsewhere, 'out') });
  });

  test('are resolved the same way by the linter', async () => {
    expect(await run(['lint', '../spam.rowtune.yaml'])).toMatchObject({ status: 0, value: { ok: true } });
    const { value } = await run(['lint', '-'], task.text);
    const lintForm = z.object({ files: z.array(z.object({ problems: z.array(z.object({ code: z.string() })) })) });
    const [linted] = lintForm.parse(value).files;
    expect(linted?.problems.map(({ code }) => code)).toContain('data-not-found');
  });
});

test('--detach starts the daemon where none runs', async () => {
  const fresh = makeStateDir();
  const started = await rowtune(['train', 'spam.rowtune.yaml', '--detach', 'output_dir=runs/fresh'], undefined, fresh);
  expect(started.value, started.stderr).toMatchObject({ ok: true, detached: true });
  const far = await connectToState(fresh);
  expect(await far.request('waitForJob', { id: String(started.value.id) })).toMatchObject({ state: 'succeeded' });
  far.close();
  expect((await rowtune(['daemon', 'stop'], undefined, fresh)).value).toMatchObject({ stopped: true });
  expect(await stateOf('fresh')).toBe('finished');
});
