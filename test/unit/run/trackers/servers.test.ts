/**
 * Tests the requests to MLflow and Trackio, and the files for Trackio. A small server replaces theirs; test/interop/trackers.long.test.ts
 * tests that the real ones accept these requests.
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import type { MetricsLine } from '../../../../trainer/run/metrics-file.ts';
import { mlflowTracker } from '../../../../trainer/run/trackers/mlflow.ts';
import type { TrackedRun } from '../../../../trainer/run/trackers/tracker.ts';
import { trackioTracker } from '../../../../trainer/run/trackers/trackio.ts';
import { portOf } from '../../../support/machine/port-of.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { recipeOf } from '../../../support/runs/recipe-of.ts';

interface Asked {
  readonly url: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Record<string, unknown>;
}

const batchForm = z.object({
  run_id: z.string(),
  params: z.array(z.object({ key: z.string(), value: z.string() })).default([]),
  metrics: z.array(z.looseObject({ key: z.string(), value: z.number(), step: z.number() })).default([]),
});

let server: Server | undefined;
afterEach(() => void server?.close());

/** Answers as given, and records its requests. */
async function serve(answer: (url: string) => readonly [status: number, body: object]) {
  const asked: Asked[] = [];
  const made = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', part => parts.push(part));
    request.on('end', () => {
      const text = Buffer.concat(parts).toString();
      const url = request.url ?? '';
      asked.push({ url, headers: request.headers, body: text === '' ? {} : JSON.parse(text) });
      const [status, body] = answer(url);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  server = made;
  await new Promise<void>(resolve => made.listen(0, '127.0.0.1', resolve));
  return { asked, url: `http://127.0.0.1:${portOf(made)}` };
}

const times = { pauseMs: 0, retryMs: [], silentMs: 60_000, endMs: 60_000 };
const lines: MetricsLine[] = [
  { step: 0, epoch: 0, eval_loss: 2 },
  { step: 1, epoch: 0.5, loss: 1.25 },
];
function newRun(): string {
  const folder = path.join(makeTemporaryFolder(), 'spam');
  mkdirSync(folder);
  return folder;
}
const runOf = (settings: { mlflow?: object; trackio?: object }): TrackedRun => ({
  runDir: newRun(),
  recipe: recipeOf('model=m', 'r=8', 'data.train=[t.jsonl]'),
  lines,
  settings: {
    mlflow: { experiment: 'mails', ...settings.mlflow },
    trackio: { folder: makeTemporaryFolder(), project: 'mails', ...settings.trackio },
  },
});

test('MLflow: an experiment is made, the run gets settings and metrics, and a resumed run takes its place', async () => {
  let runs = 0;
  const { asked, url } = await serve(at => {
    if (at.includes('get-by-name'))
      return runs === 0 ? [404, { error_code: 'RESOURCE_DOES_NOT_EXIST' }] : [200, { experiment: { experiment_id: '7' } }];
    if (at.endsWith('experiments/create')) return [200, { experiment_id: '7' }];
    if (at.endsWith('runs/create')) return [200, { run: { info: { run_id: `run${++runs}` } } }];
    return [200, {}];
  });
  const run = runOf({ mlflow: { uri: `${url}/`, user: 'me', password: 'secret' } });
  const tracker = mlflowTracker(run, times);
  await tracker.append({ step: 2, epoch: 1, loss: 1, grad_norm: Number.NaN });
  await tracker.end?.('stopped');
  const names = asked.map(({ url: at }) => at.replace(/^\/api\/2\.0\/mlflow\//, ''));
  expect(names.slice(0, 3)).toEqual(['experiments/get-by-name?experiment_name=mails', 'experiments/create', 'runs/create']);
  expect(asked.every(({ headers }) => headers.authorization === `Basic ${Buffer.from('me:secret').toString('base64')}`)).toBe(true);
  expect(asked[2]?.body).toMatchObject({ experiment_id: '7', run_name: 'spam' });
  const batches = asked.filter(({ url: at }) => at.endsWith('log-batch')).map(({ body }) => batchForm.parse(body));
  expect(batches.every(({ run_id }) => run_id === 'run1')).toBe(true);
  expect(batches.flatMap(({ params }) => params)).toEqual(
    expect.arrayContaining([
      { key: 'r', value: '8' },
      { key: 'data.train', value: '["t.jsonl"]' },
    ]),
  );
  const metrics = batches.flatMap(batch => batch.metrics);
  expect(metrics.map(({ key, value, step }) => [key, value, step])).toEqual([
    ['epoch', 0, 0],
    ['eval_loss', 2, 0],
    ['epoch', 0.5, 1],
    ['loss', 1.25, 1],
    ['epoch', 1, 2],
    ['loss', 1, 2],
  ]);
  expect(asked.at(-1)).toMatchObject({ url: '/api/2.0/mlflow/runs/update', body: { run_id: 'run1', status: 'KILLED' } });
  const before = asked.length;
  await mlflowTracker(run, times).end?.('finished');
  const again = asked.slice(before).map(({ url: at, body }) => [at.split('/').at(-1), body.run_id]);
  expect(again[1]).toEqual(['delete', 'run1']);
  expect(again.at(-1)).toEqual(['update', 'run2']);
});

test('MLflow: no address, a folder, and a server that refuses are reported', async () => {
  expect(() => mlflowTracker(runOf({}), times)).toThrow('set MLFLOW_TRACKING_URI');
  expect(() => mlflowTracker(runOf({ mlflow: { uri: 'file:./mlruns' } }), times)).toThrow('only servers');
  const { url } = await serve(() => [403, { error_code: 'PERMISSION_DENIED', message: 'not yours' }]);
  await expect(mlflowTracker(runOf({ mlflow: { uri: url } }), times).end?.('finished')).rejects.toThrow('status 403: not yours');
  server?.close();
  const gone = runOf({ mlflow: { uri: 'http://127.0.0.1:1' } });
  await expect(mlflowTracker(gone, times).end?.('finished')).rejects.toThrow(
    'http://127.0.0.1:1/api/2.0/mlflow/experiments/get-by-name cannot be reached',
  );
});

test('Trackio: a server gets entries with fixed ids, and the token of its address', async () => {
  const { asked, url } = await serve(() => [200, { data: null }]);
  const run = runOf({ trackio: { url: `${url}/?write_token=secret` } });
  await trackioTracker(run, times).end?.('finished');
  await trackioTracker(run, times).end?.('finished');
  expect(asked.map(({ url: at, headers }) => [at, headers['x-trackio-write-token']])).toEqual(Array(2).fill(['/api/bulk_log', 'secret']));
  const logs = asked.map(({ body }) => z.array(z.looseObject({ log_id: z.string() })).parse(body.logs));
  expect(logs[0]).toMatchObject([
    { project: 'mails', run: 'spam', step: 0, metrics: { 'train/epoch': 0, 'eval/loss': 2 }, config: { r: 8 } },
    { step: 1, metrics: { 'train/epoch': 0.5, 'train/loss': 1.25 }, config: null },
  ]);
  expect(logs[1]?.map(({ log_id }) => log_id)).toEqual(logs[0]?.map(({ log_id }) => log_id));
});

test('Trackio: without a server, fragments lie in the inbox of its folder', async () => {
  const run = runOf({});
  await trackioTracker(run, times).end?.('finished');
  const inbox = path.join(run.settings?.trackio.folder ?? '', 'inbox');
  const [writer = ''] = readdirSync(inbox);
  const [file = '', ...others] = readdirSync(path.join(inbox, writer));
  expect(others).toEqual([]);
  const records = readFileSync(path.join(inbox, writer, file), 'utf8')
    .trim()
    .split('\n');
  expect(records.map(text => JSON.parse(text))).toMatchObject([
    { v: 1, kind: 'metric', project: 'mails', run: 'spam', run_id: writer, step: 0, log_id: `${writer}-0` },
    { v: 1, kind: 'metric', metrics: { 'train/loss': 1.25 }, log_id: `${writer}-1` },
  ]);
});
