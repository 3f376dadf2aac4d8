/** Tests real jobs in real workers with a real daemon: order, replay, death, and a training that is stopped and continued. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CancellationTokenSource } from 'vscode-jsonrpc/node';
import type { WorkerEvent } from '../../../trainer/protocol/messages/job-messages.ts';
import { type JobEvent, requests } from '../../../trainer/protocol/messages/rpc-messages.ts';
import { stringifyRecipe } from '../../../trainer/protocol/recipe/stringify-recipe.ts';
import type { DaemonClient } from '../../../trainer/rpc/connection/connect.ts';
import type { Daemon } from '../../../trainer/rpc/daemon.ts';
import { connectTo, startTestDaemon, until } from '../../support/daemon/daemon.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const modelDir = join(import.meta.dirname, '..', '..', 'golden', 'llama');
const task = makeTinyTask();
let daemon: Daemon;
let client: DaemonClient;
let freeBytes = 2 ** 40;

beforeAll(async () => {
  daemon = await startTestDaemon({ availableBytes: () => freeBytes });
  client = await connectTo(daemon, true);
});
afterAll(async () => {
  await daemon.stop();
  rmSync(task.folder, { recursive: true, force: true });
});

const verify = (id: string, priority = 0) => client.request('verify', { id, priority, modelDir, engine: 'portable' });
const wait = (id: string) => client.request('waitForJob', { id });
/** A recipe that runs long enough to be stopped or killed in the middle. */
const longRecipe = () => ({
  text: stringifyRecipe(task.recipe('num_train_epochs=5000', 'engine=portable', 'save_steps=5')),
  fileName: 'spam.rowtune.yaml',
  baseDir: task.folder,
});

describe('jobs', () => {
  test('a job runs once, and its id starts nothing again', async () => {
    const started = await verify('once');
    expect(started).toMatchObject({ id: 'once', kind: 'verify' });
    const ended = await wait('once');
    expect(ended).toMatchObject({ state: 'succeeded', id: 'once' });
    expect(ended.result).toBeDefined();
    expect(await verify('once')).toEqual(ended);
  });

  test('a bad recipe is refused with the place of each problem', async () => {
    const recipe = { text: 'model: m\nlearning_rat: 1\n', fileName: 'x.rowtune.yaml', baseDir: task.folder };
    const refused = client.request('train', { id: 'bad', recipe });
    await expect(refused).rejects.toMatchObject({
      code: 'bad-recipe',
      details: { problems: expect.arrayContaining([expect.objectContaining({ code: 'unknown-key' })]) },
    });
    expect((await client.request('listJobs', {})).some(({ id }) => id === 'bad')).toBe(false);
  });

  test('jobs run one at a time, by priority, and a queued one can be removed', async () => {
    const order: string[] = [];
    const unlisten = client.on('jobEvent', ({ jobId, event }) => {
      if (event.type === 'state' && event.state === 'running') order.push(jobId);
    });
    await verify('first');
    await verify('late', 0);
    await verify('urgent', 5);
    await verify('unwanted', 9);
    expect(await client.request('stopJob', { id: 'unwanted' })).toMatchObject({ state: 'stopped' });
    await Promise.all(['first', 'late', 'urgent'].map(wait));
    unlisten();
    expect(order).toEqual(['first', 'urgent', 'late']);
  });

  test('events arrive in sequence, and a client that connects later gets those it missed', async () => {
    const heard: JobEvent[] = [];
    const unlisten = client.on('jobEvent', event => heard.push(event));
    await verify('heard');
    await wait('heard');
    await until(() => heard.some(({ event }) => event.type === 'state' && event.state === 'succeeded'), 'the end is heard');
    unlisten();
    const middle = heard[Math.floor(heard.length / 2)];
    if (!middle) throw new Error('nothing was heard');
    const late = await connectTo(daemon);
    const epoch = late.server.startedAt;
    const { events, complete } = await late.request('eventsSince', { seq: middle.seq, epoch });
    expect(complete).toBe(true);
    expect(events).toEqual(heard.filter(({ seq }) => seq > middle.seq));
    expect((await late.request('eventsSince', { seq: 3, epoch: 'of another start' })).complete).toBe(false);
    late.close();
  });

  test('a killed worker is a failed job with its reason; the daemon works on', async () => {
    await client.request('train', { id: 'killed', recipe: longRecipe() });
    await until(async () => existsSync(join(task.folder, 'runs', 'spam', 'checkpoints')), 'a checkpoint');
    await until(async () => (await tail('metrics')).lines.length > 8, 'some steps');
    const pid = (await client.request('listJobs', {})).find(({ id }) => id === 'killed')?.pid;
    if (pid === undefined) throw new Error('no worker');
    process.kill(pid, 'SIGKILL');
    const ended = await wait('killed');
    expect(ended).toMatchObject({ state: 'failed', failure: { code: 'worker-killed' } });
    expect(ended.resume).toEqual({ runDir: join(task.folder, 'runs', 'spam') });
    expect((await client.request('listRuns', { folders: [task.folder] })).runs[0]?.state).toBe('interrupted');
  });

  test('the run continues, survives its client, is stopped and saved, and deleted', async () => {
    const runDir = join(task.folder, 'runs', 'spam');
    const before = (await tail('metrics')).next;
    const starter = await connectTo(daemon);
    await starter.request('resume', { id: 'goes-on', runDir });
    starter.close();
    await until(async () => (await tail('metrics')).next > before, 'more steps');
    await expect(client.request('deleteRun', { runDir })).rejects.toMatchObject({ code: 'run-busy' });
    await client.request('stopJob', { id: 'goes-on' });
    expect(await wait('goes-on')).toMatchObject({ state: 'stopped', resume: { runDir } });
    expect((await client.request('listRuns', { folders: [task.folder] })).runs[0]?.state).toBe('stopped');
    await client.request('deleteRun', { runDir });
    expect(existsSync(runDir)).toBe(false);
    await expect(client.request('deleteRun', { runDir: task.folder })).rejects.toMatchObject({ code: 'run-missing' });
  });

  test('generated text streams as progress; a canceled wait aborts where that is asked', async () => {
    const options = { engine: 'portable', chat: false, maxNewTokens: 12, temperature: 0, topP: 1, topK: 0, seed: 1 } as const;
    const model = { model: 'model', revision: 'main', baseDir: task.folder, prompt: 'lunch at' };
    let text = '';
    const unlisten = client.onProgress('stream', (event: WorkerEvent) => {
      if (event.type === 'text') text += event.chunk;
    });
    await client.request('generate', { id: 'talk', ...model, options });
    const ended = await client.request('waitForJob', { id: 'talk', progressToken: 'stream' });
    unlisten();
    expect(ended.state).toBe('succeeded');
    expect(text.length).toBeGreaterThan(0);
    await client.request('train', { id: 'canceled', recipe: longRecipe() });
    const source = new CancellationTokenSource();
    const waiting = client.request('waitForJob', { id: 'canceled', abortOnCancel: true }, source.token);
    source.cancel();
    await expect(waiting).rejects.toThrow('canceled');
    expect(await wait('canceled')).toMatchObject({ state: 'aborted' });
  });

  test('a prompt while another model trains: at the same time where memory is free, else after it', { timeout: 240_000 }, async () => {
    const options = { engine: 'portable', chat: false, maxNewTokens: 4, temperature: 0, topP: 1, topK: 0, seed: 1 } as const;
    const word = { model: 'model', revision: 'main', baseDir: task.folder, prompt: 'lunch at', options };
    freeBytes = 2 ** 40;
    await client.request('train', { id: 'trains', recipe: longRecipe() });
    const stateOf = async (id: string) => (await client.request('listJobs', {})).find(job => job.id === id);
    await until(async () => (await stateOf('trains'))?.metrics !== undefined, 'it has done a step', 120_000);
    await client.request('generate', { id: 'beside', ...word });
    await verify('in-line');
    expect(await wait('beside')).toMatchObject({ state: 'succeeded' });
    expect(await stateOf('trains')).toMatchObject({ state: 'running' });
    freeBytes = 2 ** 30;
    await client.request('generate', { id: 'after', ...word, priority: 1 });
    expect([await stateOf('after'), await stateOf('in-line')]).toMatchObject([{ state: 'queued' }, { state: 'queued' }]);
    await client.request('abortJob', { id: 'trains' });
    const [after, inLine] = await Promise.all(['after', 'in-line'].map(wait));
    expect([after, inLine]).toMatchObject([{ state: 'succeeded' }, { state: 'succeeded' }]);
    expect((inLine?.startedAt ?? '') > (after?.endedAt ?? 'never')).toBe(true);
  });

  test('status, models and estimate need no job', async () => {
    expect((await client.request('engineStatus', {})).machine.cpu.cores).toBeGreaterThan(0);
    const { models } = await client.request('listModels', { folders: [task.folder] });
    expect(models).toContainEqual(expect.objectContaining({ name: 'model', source: 'folder', family: 'llama' }));
    expect(await client.request('estimate', { recipe: longRecipe() })).toMatchObject({ totalBytes: expect.any(Number) });
    // As a run chooses: the fastest level, or the one with the least memory if none fits.
    const automatic = { ...longRecipe(), overrides: ['recompute=auto'] };
    expect(await client.request('estimate', { recipe: automatic })).toMatchObject({ recompute: 'none' });
    freeBytes = 1;
    expect(await client.request('estimate', { recipe: automatic })).toMatchObject({ recompute: 'sqrt', availableBytes: 1 });
    freeBytes = 2 ** 40;
    expect(client.server.capabilities.requests).toEqual(Object.values(requests).map(({ method }) => method));
  });

  test('other requests are answered during an estimate, and an error of the estimate keeps its code', async () => {
    const order: string[] = [];
    const source = longRecipe();
    await Promise.all([
      client.request('estimate', { recipe: source }).then(() => order.push('estimate')),
      client.request('daemonStatus', {}).then(() => order.push('status')),
    ]);
    expect(order).toEqual(['status', 'estimate']);
    const nothing = { ...source, overrides: ['target_modules=nothing'] };
    await expect(client.request('estimate', { recipe: nothing })).rejects.toMatchObject({ code: 'target-modules' });
  });

  const tail = (file: 'metrics' | 'log') => client.request('tailRun', { runDir: join(task.folder, 'runs', 'spam'), file, from: 0 });
});
