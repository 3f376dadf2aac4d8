/** Training on the command line with a tiny model: train, evaluate, generate, export, and every way in which a run can be interrupted. */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { listCheckpoints } from '../../../trainer/run/checkpoint/checkpoint-folders.ts';
import { summarizeRun } from '../../../trainer/run/run-folder.ts';
import { metricsLine, parseLines } from '../../support/files/read-json.ts';
import { until } from '../../support/machine/until.ts';
import { cli, cliJson, makeTinyTask } from './run-cli.ts';

let folder: string;
let recipe: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'rowtune-e2e-'));
  ({ recipe } = await makeTinyTask(folder));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs commands with the default engine; `verify` tests the wasm one. */
const here = {
  get cwd() {
    return folder;
  },
};
/** Settings of a run that does not end during a test. */
const LONG = ['num_train_epochs=100000', 'eval_strategy=no'];
const runsForm = z.array(z.object({ runDir: z.string(), state: z.string() }));
const metricsOf = async (run: string) => parseLines(await readFile(path.join(folder, run, 'metrics.jsonl'), 'utf8'), metricsLine);

describe('a run from end to end', () => {
  /** The evaluation of runs/tiny, with which several tests compare. */
  let evaluated: ReturnType<typeof cliJson> | undefined;
  const evaluatedRun = (): ReturnType<typeof cliJson> => {
    evaluated ??= cliJson(['evaluate', 'runs/tiny'], here);
    return evaluated;
  };

  test('train prints a table on stdout and progress on stderr', async () => {
    const { status, stdout, stderr } = await cli(['train', recipe, 'output_dir=runs/tiny'], here);
    expect(status, stderr).toBe(0);
    for (const row of ['accuracy', 'loss', 'trainable parameters', 'tokens per second', 'mem_M', 'mem_FT', 'mem_Aux', 'mem_TTL', 'adapter'])
      expect(stdout).toContain(row);
    expect(stderr).toMatch(/18\/18 steps/);
    expect(stderr).toMatch(
      /^try it with: rowtune generate runs\/tiny .*\nexport it with: rowtune export runs\/tiny --format merged --output tiny-model$/m,
    );
    expect(stderr).not.toContain(String.fromCharCode(27));
  });

  test('a second run in another folder has the same losses, as JSON too', async () => {
    const { status, value } = await cliJson(['train', recipe, 'output_dir=runs/again'], here);
    expect(status).toBe(0);
    expect(value).toMatchObject({ ok: true, runDir: path.join(folder, 'runs', 'again') });
    const losses = async (run: string) => (await metricsOf(run)).map(({ loss }) => loss).filter(loss => loss !== undefined);
    expect(await losses('runs/again')).toEqual(await losses('runs/tiny'));
  });

  test('a folder that is in use is refused', async () => {
    const { status, value } = await cliJson(['train', recipe, 'output_dir=runs/tiny'], here);
    expect(status).toBe(1);
    expect(value).toMatchObject({ ok: false, error: { code: 'output-not-empty' } });
  });

  test('the folder of a run that was refused before its first update is taken by the corrected recipe', async () => {
    const refused = await cliJson(['train', recipe, 'output_dir=runs/refused', 'target_modules=[nowhere]'], here);
    expect(refused.value).toMatchObject({ ok: false });
    expect(existsSync(path.join(folder, 'runs', 'refused', 'log.txt'))).toBe(true);
    const { status, stderr } = await cli(['train', recipe, 'output_dir=runs/refused', 'max_steps=1'], here);
    expect(status, stderr).toBe(0);
    expect(stderr).toContain('ended before its first update');
    await rm(path.join(folder, 'runs', 'refused'), { recursive: true });
  });

  test('without output_dir a free folder under runs/ is taken', async () => {
    const { value } = await cliJson(['train', recipe, 'max_steps=1'], here);
    expect(value).toMatchObject({ runDir: path.join(folder, 'runs', 'tiny-2') });
  });

  test('runs lists them, newest first', async () => {
    const { value, status } = await cliJson(['runs'], here);
    expect(status).toBe(0);
    const runs = runsForm.parse(value.runs);
    expect(runs.map(run => path.basename(run.runDir))).toEqual(['tiny-2', 'again', 'tiny']);
    expect(runs.every(({ state }) => state === 'finished')).toBe(true);
    expect((await cli(['runs'], here)).stdout).toMatch(/^tiny +finished +18\/18/m);
  });

  test('runs sets the name, tags, note, pin and archive flag of a run', async () => {
    const written = await cliJson(['runs', 'runs/tiny', '--rename', 'first', '--tag', 'paper', '--note', 'all rows', '--pin'], here);
    expect(written.value).toMatchObject({ ok: true, notes: { name: 'first', tags: ['paper'], note: 'all rows', pinned: true } });
    expect((await cliJson(['runs', 'runs/again', '--archive'], here)).status).toBe(0);
    const { stdout, stderr } = await cli(['runs'], here);
    expect(stdout).toMatch(/^first +finished +18\/18/m);
    expect(stderr).toContain('1 archived');
    const listed = runsForm.parse((await cliJson(['runs'], here)).value.runs);
    expect(listed.map(run => path.basename(run.runDir))).toEqual(['tiny', 'tiny-2']);
    const { value } = await cliJson(['runs', '--all', '--tagged', 'paper'], here);
    expect(value.runs).toMatchObject([{ name: 'first' }]);
    expect((await cliJson(['runs', 'runs', '--pin'], here)).value).toMatchObject({ error: { code: 'usage' } });
    const undone = ['--rename', '', '--untag', 'paper', '--note', '', '--unpin'];
    expect((await cliJson(['runs', 'runs/tiny', ...undone], here)).value).toMatchObject({ notes: {} });
    expect((await cliJson(['runs', 'runs/again', '--unarchive'], here)).status).toBe(0);
  });

  test('evaluate: the run beats its base', async () => {
    const base = await cliJson(['evaluate', recipe], here);
    const run = await evaluatedRun();
    expect([base.status, run.status]).toEqual([0, 0]);
    expect(Number(run.value.loss)).toBeLessThan(Number(base.value.loss));
  });

  test('importance writes scores, and a run uses them', async () => {
    const { status, value } = await cliJson(
      ['importance', recipe, 'importance.measure=taylor_row', 'importance.cache=false', '--output', 'scores.safetensors'],
      here,
    );
    expect(status).toBe(0);
    expect(value).toMatchObject({ ok: true, outputFile: path.join(folder, 'scores.safetensors') });
    expect(existsSync(path.join(folder, 'scores.safetensors.json'))).toBe(true);
    const run = await cliJson(
      ['train', recipe, 'importance.measure=taylor_row', 'importance.scores=scores.safetensors', 'max_steps=1', 'output_dir=runs/scored'],
      here,
    );
    expect(run.status, run.stderr).toBe(0);
  });

  test('generate: from a run, the prompt from stdin, the same text twice', async () => {
    const args = ['generate', 'runs/tiny', '--no-chat', '--max-new-tokens', '6'];
    const first = await cli(args, { ...here, stdin: 'WIN $$$ 3\n:' });
    expect(first.status, first.stderr).toBe(0);
    expect(first.stdout.trim()).not.toBe('');
    const { status, value } = await cliJson([...args, '--prompt', 'WIN $$$ 3\n:'], here);
    expect(status).toBe(0);
    expect(String(value.text).trim()).toBe(first.stdout.trim());
  });

  test.each(['adapter', 'merged', 'peft'])('export as %s, usable again', async format => {
    const { status, value, stderr } = await cliJson(['export', 'runs/tiny', '--format', format, '--output', `out-${format}`], here);
    expect(status, stderr).toBe(0);
    expect(value).toMatchObject({ ok: true, outputDir: path.join(folder, `out-${format}`) });
    const source = format === 'merged' ? [recipe, `model=out-${format}`] : [recipe, '--adapter', `out-${format}`];
    const exported = await cliJson(['evaluate', ...source], here);
    const run = await evaluatedRun();
    expect(exported.status, exported.stderr).toBe(0);
    expect(Number(exported.value.loss)).toBeCloseTo(Number(run.value.loss), 4);
  });
});

describe('cut short', () => {
  const startOf = (run: string, saves = 'save_strategy=no', ...settings: readonly string[]) =>
    cli.bind(undefined, ['train', recipe, ...LONG, saves, ...settings, `output_dir=${run}`, '--json']);
  const training = /\btrain \d+\//;

  test('Ctrl-C stops and saves; resume continues', async () => {
    let interrupted = false;
    const { status, stderr, stdout } = await startOf('runs/stopped')({
      ...here,
      onStderr: (text, child) => {
        if (interrupted || !training.test(text)) return;
        interrupted = true;
        child.kill('SIGINT');
      },
    });
    expect(stderr).toContain('stopping at the next safe point and saving');
    expect(status, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true });
    const stopped = await summarizeRun(path.join(folder, 'runs/stopped'));
    expect(stopped?.state).toBe('stopped');
    const step = stopped?.step ?? 0;
    const resumed = await cliJson(['resume', 'runs/stopped', `max_steps=${step + 3}`], here);
    expect(resumed.status, resumed.stderr).toBe(0);
    expect(await summarizeRun(path.join(folder, 'runs/stopped'))).toMatchObject({ state: 'finished', step: step + 3 });
    const steps = (await metricsOf('runs/stopped')).filter(({ loss }) => loss !== undefined).map(line => line.step);
    expect(steps).toEqual(Array.from({ length: step + 3 }, (_, i) => i + 1));
  });

  test('a second Ctrl-C aborts: status 130, no process left', async () => {
    let count = 0;
    const { status, stderr } = await startOf('runs/aborted')({
      ...here,
      onStderr: (text, child) => {
        if ((count === 0 && text.includes('opening')) || (count === 1 && text.includes('press Ctrl-C again'))) {
          count++;
          child.kill('SIGINT');
        }
      },
    });
    expect(status, stderr).toBe(130);
    expect(stderr).toContain('aborted');
  });

  // Runs on PJRT are killed in devices-pjrt.long.test.ts.
  test('a killed worker is explained, and resumes to the bit', async () => {
    const run = 'runs/killed';
    const settings = ['lr_scheduler_type=constant', 'save_steps=1'];
    let killed = false;
    const { status, stderr, stdout } = await startOf(
      run,
      'save_strategy=steps',
      ...settings,
    )({
      ...here,
      onStderr: async (text, child) => {
        if (killed || !training.test(text)) return;
        killed = true;
        const state = await summarizeRun(path.join(folder, run));
        if (state === undefined || state.pid === child.pid) throw new Error('the worker is no process of its own');
        process.kill(state.pid, 'SIGKILL');
      },
    });
    expect(status).toBe(1);
    expect(stderr).toContain('was killed (SIGKILL)');
    expect(stderr).toContain(`rowtune resume ${run}`);
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'worker-killed' } });
    expect((await summarizeRun(path.join(folder, run)))?.state).toBe('interrupted');
    const saved = (await listCheckpoints(path.join(folder, run))).at(-1)?.step ?? 0;
    const steps = saved + 3;
    const resumed = await cliJson(['resume', run, `max_steps=${steps}`], here);
    expect(resumed.status, resumed.stderr).toBe(0);
    expect(resumed.value).toMatchObject({ ok: true, state: 'finished', steps });
    const whole = await cliJson(['train', recipe, 'eval_strategy=no', ...settings, `max_steps=${steps}`, `output_dir=${run}-whole`], here);
    expect(whole.status, whole.stderr).toBe(0);
    const losses = async (dir: string) => (await metricsOf(dir)).flatMap(({ step, loss }) => (loss === undefined ? [] : [[step, loss]]));
    expect(await losses(run)).toEqual(await losses(`${run}-whole`));
  });

  test('when the command itself is killed, the worker saves and ends', async () => {
    let killed = false;
    await startOf('runs/orphan')({
      ...here,
      onStderr: (text, child) => {
        if (killed || !training.test(text)) return;
        killed = true;
        child.kill('SIGKILL');
      },
    });
    const stateOf = async () => (await summarizeRun(path.join(folder, 'runs/orphan')))?.state;
    await until(async () => (await stateOf()) !== 'running', 'the worker ends');
    expect(await stateOf()).toBe('stopped');
  });
});

test('resume of what is no run: status 2', async () => {
  const { status, value } = await cliJson(['resume', '.'], here);
  expect(status).toBe(2);
  expect(value).toMatchObject({ ok: false, error: { code: 'run-missing' } });
});

test('a missing model ends train with status 1 and no stack', async () => {
  const { status, value, stderr } = await cliJson(['train', recipe, 'model=./no-such-model', 'output_dir=runs/none'], here);
  expect(status).toBe(1);
  expect(value).toMatchObject({ ok: false });
  expect(stderr).toContain('no-such-model');
  expect(stderr).not.toContain('    at ');
});
