/** The worker as a process: its messages, and how it stops. hostile.long.test.ts kills it at any moment. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import type { JobRequest, WorkerEvent } from '../../trainer/protocol/messages/job-messages.ts';
import { summarizeRun } from '../../trainer/run/run-folder.ts';
import { startWorker } from '../support/daemon/worker.ts';
import { makeTinyTask } from '../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const { context } = task;
/** Settings of a run that lasts longer than any test. */
const LONG = ['num_train_epochs=100000', 'save_strategy="no"'];
const train = (name: string, ...overrides: string[]): JobRequest & { readonly runDir: string } => ({
  kind: 'train',
  recipe: task.recipe(...overrides),
  runDir: join(task.folder, name),
  context,
});
const isUpdate = (event: WorkerEvent): boolean => event.type === 'metrics' && event.values.loss !== undefined;

describe('one job', () => {
  test('verify: phases, then a result, then the end', async () => {
    const modelDir = join(import.meta.dirname, '..', 'golden', 'llama');
    const { ended, events } = startWorker({ kind: 'verify', modelDir, engine: 'auto', context });
    const { status, last } = await ended;
    expect(last).toMatchObject({ type: 'result', value: { ok: true } });
    expect(status).toBe(0);
    expect(events[0]).toMatchObject({ type: 'phase', name: 'verify' });
  });

  test('doctor', async () => {
    const { last } = await startWorker({ kind: 'doctor', engine: 'auto', context }).ended;
    expect(last).toMatchObject({ type: 'result', value: { node: process.versions.node } });
  });

  test('a known error comes with a code and without a stack', async () => {
    const { status, last } = await startWorker(train('nowhere', 'model=./no-such-model')).ended;
    expect(last).toMatchObject({ type: 'failed', code: 'model-file', message: expect.stringContaining('no-such-model') });
    expect(JSON.stringify(last)).not.toContain('    at ');
    expect(status).toBe(1);
  });

  test('an engine that the recipe names and that is not installed is an error', async () => {
    const request: JobRequest = {
      ...train('no-engine', 'engine=tensorflow'),
      context: { ...context, cacheDir: join(task.folder, 'empty') },
    };
    const { last } = await startWorker(request).ended;
    expect(last).toMatchObject({ type: 'failed', code: 'engine', message: expect.stringContaining('rowtune engine install') });
  });
});

describe('stopping', () => {
  const cases: { how: string; stop: (child: ReturnType<typeof startWorker>['child']) => void }[] = [
    { how: 'the stop command', stop: child => child.send({ type: 'stop', save: true }) },
    { how: 'SIGTERM', stop: child => child.kill('SIGTERM') },
    { how: 'a parent that is gone', stop: child => child.disconnect() },
  ];
  test.each(cases)('$how: saves a checkpoint of the last update and ends', async ({ how, stop }) => {
    const request = train(`stop ${how}`, ...LONG);
    let asked = false;
    const { ended } = startWorker(request, (event, child) => {
      if (asked || !isUpdate(event)) return;
      asked = true;
      child.kill('SIGINT'); // ignored by a worker
      stop(child);
    });
    const { status } = await ended;
    expect(status).toBe(0);
    const run = await summarizeRun(request.runDir);
    expect(run).toMatchObject({ state: 'stopped' });
    expect(readdirSync(join(request.runDir, 'checkpoints'))).toEqual([`step-${String(run?.step).padStart(6, '0')}`]);
  });

  test('a second run in a folder at work is refused', async () => {
    const request = train('busy', ...LONG);
    let second: ReturnType<typeof startWorker>['ended'] | undefined;
    const first = startWorker(request, event => {
      if (isUpdate(event)) second ??= startWorker({ kind: 'resume', runDir: request.runDir, overrides: [], context }).ended;
    });
    while (!second) await delay(20);
    expect((await second).last).toMatchObject({ type: 'failed', code: 'run-busy' });
    first.child.send({ type: 'stop', save: false });
    expect((await first.ended).status).toBe(0);
  });
});
