/** Runs as the packages mlflow and trackio read them: from a real tracking server, a real Trackio server, and the files for Trackio. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { isRecord } from '../../trainer/narrow.ts';
import type { MetricsLine } from '../../trainer/run/metrics-file.ts';
import type { SenderTimes } from '../../trainer/run/trackers/line-sender.ts';
import { mlflowTracker } from '../../trainer/run/trackers/mlflow.ts';
import type { TrackedRun } from '../../trainer/run/trackers/tracker.ts';
import { trackioTracker } from '../../trainer/run/trackers/trackio.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { makeTemporaryFolder } from '../support/machine/temporary-folder.ts';
import { until } from '../support/machine/until.ts';
import { recipeOf } from '../support/runs/recipe-of.ts';
import { locatePython } from './python.ts';

const python = await locatePython(cacheDir, 'trackers');
/** Time limit for a start on a busy machine. */
const START_MS = 300_000;
const LONGEST = { timeout: 900_000 };
const patient: SenderTimes = { pauseMs: 0, retryMs: [500, 3000], silentMs: 300_000, endMs: 300_000 };
const folder = makeTemporaryFolder();
const started: ChildProcess[] = [];
afterAll(() => {
  // Servers start processes of their own.
  for (const { pid } of started) if (pid !== undefined) process.kill(-pid, 'SIGKILL');
});

const freePort = (): Promise<number> =>
  new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const found = server.address();
      server.close(() => resolve(typeof found === 'object' && found !== null ? found.port : 0));
    });
  });

/** Starts a server; resolves when it answers. */
async function serve(program: string, args: readonly string[], port: number, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn(program, args, { cwd: folder, detached: true, stdio: 'ignore', env: { ...process.env, ...env } });
  started.push(child);
  const url = `http://127.0.0.1:${port}`;
  await until(
    () =>
      fetch(url).then(
        () => true,
        () => false,
      ),
    `${args.join(' ')} answers`,
    START_MS,
  );
  return url;
}

const settings = { mlflow: { experiment: 'mails' }, trackio: { folder: path.join(folder, 'trackio'), project: 'mails' } };
function runOf(name: string, change: Partial<TrackedRun['settings']> = {}): TrackedRun {
  const runDir = path.join(folder, name);
  mkdirSync(runDir, { recursive: true });
  const lines: MetricsLine[] = [
    { step: 0, epoch: 0, eval_loss: 2.5 },
    { step: 1, epoch: 0.5, loss: 1.25 },
  ];
  return { runDir, recipe: recipeOf('model=m', 'r=8', 'data.train=[t.jsonl]'), lines, settings: { ...settings, ...change } };
}

/** Reports a run of three lines that is stopped and resumed after its first two. */
async function track(begin: typeof trackioTracker, run: TrackedRun): Promise<void> {
  for (const how of ['stopped', 'finished'] as const) {
    const tracker = begin(run, patient);
    await tracker.append({ step: 2, epoch: 1, loss: 1 });
    await tracker.end?.(how);
  }
}

if ('missing' in python) {
  if (process.env.CI) test('trackers', () => expect.fail(python.missing));
  else describe.skip(`trackers (${python.missing})`, () => test('read our runs', () => expect.fail(python.missing)));
} else {
  const program = python.python;

  test('mlflow reads settings, metrics and the end of a run, which is there once after a resume', LONGEST, async () => {
    const port = await freePort();
    const args = [
      '-m',
      'mlflow',
      'server',
      '--backend-store-uri',
      `sqlite:///${folder}/mlflow.db`,
      '--host',
      '127.0.0.1',
      '--workers',
      '1',
    ];
    // Without its processes for jobs of its own, which load the package again.
    const uri = await serve(program, [...args, '--port', String(port)], port, { MLFLOW_SERVER_ENABLE_JOB_EXECUTION: 'false' });
    await track(mlflowTracker, runOf('spam', { mlflow: { experiment: 'mails', uri } }));
    const { stdout } = await promisify(execFile)(program, [path.join(import.meta.dirname, 'read-mlflow.py'), uri, 'mails']);
    expect(JSON.parse(stdout)).toMatchObject([
      {
        name: 'spam',
        status: 'FINISHED',
        params: { model: 'm', r: '8', 'data.train': '["t.jsonl"]' },
        loss: [
          [1, 1.25],
          [2, 1],
        ],
      },
    ]);
  });

  test('trackio reads files and what its server got, each line once after a resume', LONGEST, async () => {
    await track(trackioTracker, runOf('files'));
    const port = await freePort();
    const show = `import trackio; trackio.show(open_browser=False, block_thread=True, host='127.0.0.1', server_port=${port})`;
    const url = await serve(program, ['-c', show], port, { TRACKIO_DIR: settings.trackio.folder, TRACKIO_WRITE_TOKEN: 'secret' });
    await track(trackioTracker, runOf('server', { trackio: { ...settings.trackio, url, token: 'secret' } }));
    const read = async (api: string, body: object): Promise<unknown> => {
      const response = await fetch(`${url}/api/${api}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const answer: unknown = await response.json();
      return isRecord(answer) ? answer.data : answer;
    };
    const logs = (run: string) => read('get_logs', { project: 'mails', run });
    const lines = [
      { step: 0, 'train/epoch': 0, 'eval/loss': 2.5 },
      { step: 1, 'train/epoch': 0.5, 'train/loss': 1.25 },
      { step: 2, 'train/epoch': 1, 'train/loss': 1 },
    ];
    await until(async () => JSON.stringify(await logs('files')).includes('train/loss'), 'the files are imported', START_MS);
    expect(await logs('files')).toMatchObject(lines);
    expect(await logs('server')).toMatchObject(lines);
    expect(await logs('server')).toHaveLength(lines.length);
    expect(JSON.stringify(await read('get_run_configs', { project: 'mails' }))).toContain('"r":8');
  });
}
