/** Tests every request that starts a job or reads a run once, with the tiny model and real workers. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkResult } from '../../../trainer/cli/check-result.ts';
import type { JobRecord, RecipeSource } from '../../../trainer/protocol/messages/rpc-messages.ts';
import type { DaemonClient } from '../../../trainer/rpc/connection/connect.ts';
import type { Daemon } from '../../../trainer/rpc/daemon.ts';
import { connectTo, startTestDaemon } from '../../support/daemon/daemon.ts';
import { lossOf } from '../../support/runs/evaluated.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
let daemon: Daemon;
let client: DaemonClient;
const runDir = join(task.folder, 'runs', 'spam');
const recipe = (...overrides: readonly string[]): RecipeSource => ({
  text: task.text,
  fileName: 'spam.rowtune.yaml',
  baseDir: task.folder,
  overrides: ['engine=portable', ...overrides],
});

beforeAll(async () => {
  daemon = await startTestDaemon();
  client = await connectTo(daemon);
});
afterAll(async () => {
  client.close();
  await daemon.stop();
  rmSync(task.folder, { recursive: true, force: true });
});

async function done(started: Promise<JobRecord>): Promise<JobRecord> {
  const { id } = await started;
  const ended = await client.request('waitForJob', { id });
  expect(ended, ended.failure?.message).toMatchObject({ state: 'succeeded' });
  return ended;
}

describe('from data to an exported model', () => {
  test('importance', async () => {
    const outputFile = join(task.folder, 'scores.safetensors');
    const { result } = await done(
      client.request('importance', {
        id: 'importance',
        recipe: recipe('importance.measure=taylor_row', 'importance.cache=false'),
        outputFile,
      }),
    );
    expect(existsSync(outputFile)).toBe(true);
    expect(result).toBeDefined();
  });

  test('train, with log and metrics in pages', async () => {
    const { result } = await done(client.request('train', { id: 'train', recipe: recipe('logging_steps=1') }));
    expect(result).toMatchObject({ state: 'finished', runDir });
    const tail = (file: 'metrics' | 'log', from: number) => client.request('tailRun', { runDir, file, from });
    const whole = await tail('metrics', 0);
    expect(whole.lines.length).toBeGreaterThan(4);
    expect(JSON.parse(whole.lines[0] ?? '')).toMatchObject({ step: expect.any(Number) });
    expect((await tail('metrics', whole.next - 2)).lines).toEqual(whole.lines.slice(-2));
    expect(await tail('metrics', whole.next)).toMatchObject({ lines: [], next: whole.next, more: false });
    expect((await tail('log', 0)).lines.join('\n')).toContain('finished');
  });

  test('evaluate: the tuned model has a lower loss than the base', async () => {
    const base = await done(client.request('evaluate', { id: 'evaluate-base', recipe: recipe() }));
    const tuned = await done(client.request('evaluate', { id: 'evaluate', recipe: recipe(), adapter: runDir }));
    expect(checkResult('evaluate', tuned.result).loss).toBeLessThan(lossOf(checkResult('evaluate', base.result)));
  });

  test('export: writes the model, and never over existing files', async () => {
    const outputDir = join(task.folder, 'merged');
    const params = { adapter: runDir, format: 'merged', outputDir, overwrite: false } as const;
    await done(client.request('exportRun', { id: 'export', ...params }));
    expect(readdirSync(outputDir)).toEqual(expect.arrayContaining(['config.json', 'model.safetensors']));
    await client.request('exportRun', { id: 'export-again', ...params });
    expect(await client.request('waitForJob', { id: 'export-again' })).toMatchObject({ state: 'failed' });
  });

  test('verify: compares with reference numbers, and fails without them', async () => {
    const modelDir = join(import.meta.dirname, '..', '..', 'golden', 'llama');
    await done(client.request('verify', { id: 'verify', modelDir, engine: 'portable' }));
    const bare = join(task.folder, 'bare');
    mkdirSync(bare);
    await client.request('verify', { id: 'verify-bare', modelDir: bare, engine: 'portable' });
    expect(await client.request('waitForJob', { id: 'verify-bare' })).toMatchObject({
      state: 'failed',
      failure: { message: expect.any(String) },
    });
  });

  test('the list of runs, and their deletion', async () => {
    expect((await client.request('listRuns', { folders: [task.folder] })).runs).toMatchObject([{ runDir, state: 'finished' }]);
    writeFileSync(join(runDir, 'notes.md'), 'mine\n');
    await client.request('deleteRun', { runDir });
    // Files that no run writes are kept.
    expect(readdirSync(runDir)).toEqual(['notes.md']);
    expect((await client.request('listRuns', { folders: [task.folder] })).runs).toEqual([]);
    expect(await client.request('tailRun', { runDir, file: 'log', from: 3 })).toMatchObject({ lines: [], rewound: true });
  });
});

describe('the order of the queue', () => {
  test('follows priorities that change while jobs wait', async () => {
    const modelDir = join(import.meta.dirname, '..', '..', 'golden', 'llama');
    const verify = (id: string) => client.request('verify', { id, modelDir, engine: 'portable' });
    await verify('a');
    await verify('b');
    await verify('c');
    expect(await client.request('prioritizeJob', { id: 'c', priority: 10 })).toMatchObject({ id: 'c', priority: 10, state: 'queued' });
    const ended = await Promise.all(['a', 'b', 'c'].map(id => client.request('waitForJob', { id })));
    const byStart = ended.toSorted((x, y) => (x.startedAt ?? '').localeCompare(y.startedAt ?? ''));
    expect(byStart.map(({ id }) => id)).toEqual(['a', 'c', 'b']);
    await expect(client.request('prioritizeJob', { id: 'nobody', priority: 1 })).rejects.toMatchObject({ code: 'job-missing' });
  });
});

test('clients that come and go at every moment harm no job', async () => {
  const modelDir = join(import.meta.dirname, '..', '..', 'golden', 'llama');
  await client.request('verify', { id: 'watched', modelDir, engine: 'portable' });
  for (let i = 0; i < 20; i++) {
    const guest = await connectTo(daemon, i % 2 === 0);
    guest.onProgress('watched', () => undefined);
    const waiting = guest.request('waitForJob', { id: 'watched', progressToken: 'watched' }).catch(() => undefined);
    await new Promise(resolve => setTimeout(resolve, 5 * i));
    guest.close();
    await waiting;
  }
  expect(await client.request('waitForJob', { id: 'watched' })).toMatchObject({ state: 'succeeded' });
});
