/** Tests that a folder is recognized under any path: with a slash, with dots, or through links. */
import { existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DaemonClient } from '../../../trainer/rpc/connection/connect.ts';
import type { Daemon } from '../../../trainer/rpc/daemon.ts';
import { writeRunRecipe } from '../../../trainer/run/run-folder.ts';
import { StateKeeper } from '../../../trainer/run/run-state.ts';
import { connectTo, startTestDaemon } from '../../support/daemon/daemon.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
const folder = mkdtempSync(join(tmpdir(), 'rowtune-paths-'));
/** A worker that runs until it is stopped, so that the job after it waits. */
const workerFile = join(folder, 'worker.mjs');
writeFileSync(workerFile, "let begun = false;\nprocess.on('message', () => (begun ? process.exit(0) : (begun = true)));\n");

const runs = join(folder, 'runs');
const runDir = join(runs, 'spam');
/** Paths as a client may write them. The links point to the run, and to the folder around it. */
const PATHS = [`${runDir}/`, `${runDir}//.`, `${runs}/../runs/./spam`, join(folder, 'link'), `${join(folder, 'around')}/spam/`];
let daemon: Daemon;
let client: DaemonClient;

beforeAll(async () => {
  daemon = await startTestDaemon({ workerFile });
  client = await connectTo(daemon);
});
afterAll(async () => {
  client.close();
  await daemon.stop();
  for (const made of [folder, task.folder]) rmSync(made, { recursive: true, force: true });
});

beforeEach(async () => {
  mkdirSync(join(runDir, 'checkpoints', 'step-000001'), { recursive: true });
  await writeRunRecipe(runDir, task.recipe('engine=portable'));
  await new StateKeeper(runDir, { name: 'spam', startedAt: '2026-01-01T00:00:00Z', step: 1 }).update({ state: 'stopped' });
  for (const [name, target] of [
    ['link', runDir],
    ['around', runs],
  ] as const)
    if (!existsSync(join(folder, name))) symlinkSync(target, join(folder, name));
});

let count = 0;
async function whileQueued(start: (id: string) => Promise<unknown>, work: () => Promise<void>): Promise<void> {
  const ids = [`first-${count}`, `waits-${count++}`] as const;
  await client.request('verify', { id: ids[0], modelDir: folder, engine: 'portable' });
  await start(ids[1]);
  await work();
  for (const id of ids.toReversed()) {
    await client.request('abortJob', { id });
    await client.request('waitForJob', { id });
  }
}

const refusesAll = async (): Promise<void> => {
  for (const path of PATHS) await expect(client.request('deleteRun', { runDir: path }), path).rejects.toMatchObject({ code: 'run-busy' });
  expect(existsSync(join(runDir, 'checkpoints', 'step-000001'))).toBe(true);
};

describe('runs/delete', () => {
  test.each([runDir, join(folder, 'link')])('keeps what a queued resume of %s needs', path =>
    whileQueued(id => client.request('resume', { id, runDir: path }), refusesAll),
  );

  test('keeps what a queued export and a queued prompt need', async () => {
    const adapter = join(folder, 'around', 'spam', 'checkpoints', 'step-000001');
    await whileQueued(
      id => client.request('exportRun', { id, adapter, format: 'peft', outputDir: join(folder, 'out'), overwrite: false }),
      refusesAll,
    );
    const options = { engine: 'portable', chat: false, maxNewTokens: 4, temperature: 0, topP: 1, topK: 0, seed: 1 } as const;
    const word = { model: 'm', revision: 'main', baseDir: folder, prompt: 'x', options, adapter: `${runDir}/` };
    await whileQueued(id => client.request('generate', { id, ...word }), refusesAll);
  });

  test.each(PATHS)('deletes the run by %s, and leaves no dangling link', async path => {
    expect(await client.request('deleteRun', { runDir: path })).toEqual({});
    expect(existsSync(runDir)).toBe(false);
    if (path === join(folder, 'link')) expect(() => lstatSync(path)).toThrow('ENOENT');
    await expect(client.request('deleteRun', { runDir: path })).rejects.toMatchObject({ code: 'run-missing' });
  });
});

test('training does not start in the folder of another job', () =>
  whileQueued(
    id => client.request('resume', { id, runDir }),
    async () => {
      const recipe = { text: `${task.text}overwrite_output_dir: true\n`, fileName: 'spam.rowtune.yaml', baseDir: task.folder };
      for (const path of PATHS)
        await expect(client.request('train', { id: 'other', recipe, runDir: path }), path).rejects.toMatchObject({ code: 'run-busy' });
    },
  ));

test('a run that waits to be trained is not resumed a second time, under any path', () =>
  whileQueued(
    id => client.request('resume', { id, runDir }),
    async () => {
      for (const path of PATHS)
        await expect(client.request('resume', { id: 'second', runDir: path }), path).rejects.toMatchObject({ code: 'run-busy' });
      expect((await client.request('listJobs', {})).map(({ id }) => id)).not.toContain('second');
    },
  ));

test('a request that is repeated with its own identifier is still answered', () =>
  whileQueued(
    id => client.request('resume', { id, runDir }),
    async () => {
      const waits = `waits-${count - 1}`;
      expect(await client.request('resume', { id: waits, runDir })).toMatchObject({ id: waits, state: 'queued' });
    },
  ));

test('a run whose job was asked to stop can be resumed, and the new job waits', async () => {
  await client.request('resume', { id: 'stops', runDir });
  await client.request('stopJob', { id: 'stops' });
  expect(await client.request('resume', { id: 'next', runDir })).toMatchObject({ id: 'next' });
  await client.request('abortJob', { id: 'next' });
  for (const id of ['stops', 'next']) await client.request('waitForJob', { id });
});
