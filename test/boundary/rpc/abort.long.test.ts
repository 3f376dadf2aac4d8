/** Tests aborts at any moment, and workers that do not obey: the run ends as stopped by the user, and the queue continues. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { RUN_FILES } from '../../../trainer/protocol/run/run-files.ts';
import { createRandom } from '../../../trainer/random.ts';
import type { DaemonClient } from '../../../trainer/rpc/connection/connect.ts';
import type { DaemonOptions } from '../../../trainer/rpc/daemon.ts';
import { readRunState } from '../../../trainer/run/run-state.ts';
import { connectTo, startTestDaemon, until } from '../../support/daemon/daemon.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));

const recipe = {
  text: `${task.text}num_train_epochs: 5000\nengine: portable\nsave_strategy: steps\nsave_steps: 400\n`.replace(
    'num_train_epochs: 2\n',
    '',
  ),
  fileName: 'spam.rowtune.yaml',
  baseDir: task.folder,
};

async function withDaemon(options: Partial<DaemonOptions>, work: (client: DaemonClient) => Promise<void>): Promise<void> {
  const daemon = await startTestDaemon(options);
  const client = await connectTo(daemon);
  try {
    await work(client);
  } finally {
    client.close();
    await daemon.stop();
  }
}

const checkpointSteps = (runDir: string): number[] => {
  const folder = join(runDir, 'checkpoints');
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.filter(name => /^step-\d+$/.test(name)).map(name => Number(name.slice('step-'.length)));
};
const hasCheckpoint = (runDir: string): boolean => checkpointSteps(runDir).length > 0;

test.each([
  ['asked', undefined],
  ['killed at once', { silence: 600, save: 600, ask: 0, terminate: 0 }],
])('a run that is aborted at any moment (%s) is stopped by the user, without a lock, and gives its folder free', async (_, stopTimes) => {
  const random = createRandom(7);
  const runDir = join(task.folder, 'runs', stopTimes ? 'killed' : 'asked');
  await withDaemon({ stopTimes }, async client => {
    for (let round = 0; round < 8; round++) {
      const id = `abort-${round}`;
      await client.request('train', { id, recipe, runDir });
      // Anywhere from the start of the process to a few steps.
      await delay(random.below(1800));
      await client.request('abortJob', { id });
      const record = await client.request('waitForJob', { id });
      expect([record.state, record.failure]).toEqual(['aborted', undefined]);
      expect(record.resume !== undefined).toBe(hasCheckpoint(runDir));
      const state = await readRunState(runDir);
      const left = existsSync(runDir) ? readdirSync(runDir) : [];
      expect(left.filter(name => name === 'lock' || name.endsWith('.tmp'))).toEqual([]);
      // If a round cleared the previous round's folder and was killed before it wrote a state, the previous log is left.
      if (state === undefined) expect(left.filter(name => name !== RUN_FILES.earlierLog)).toEqual([]);
      else expect(state).toMatchObject({ state: 'stopped', reason: 'stopped at your request' });
      // The next round starts in the same folder; a run without updates is replaced without confirmation.
      if ((state?.step ?? 0) > 0 || hasCheckpoint(runDir)) rmSync(runDir, { recursive: true });
    }
  });
});

test('a stop ends a stuck worker, and the next job starts', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rowtune-stuck-'));
  const workerFile = join(folder, 'worker.mjs');
  // A training hangs in a loop that handles no events; other jobs succeed.
  writeFileSync(
    workerFile,
    `process.on('SIGTERM', () => undefined);
     process.once('message', ({ kind }) => {
       if (kind === 'train') setTimeout(() => { for (;;); }, 20);
       else process.send({ type: 'result', value: 'done' }, () => process.exit(0));
     });`,
  );
  await withDaemon({ workerFile, stopTimes: { silence: 0.2, save: 600, ask: 0.2, terminate: 0.2 } }, async client => {
    await client.request('train', { id: 'stuck', recipe, runDir: join(folder, 'run') });
    await client.request('verify', { id: 'behind', modelDir: folder, engine: 'portable' });
    expect(await client.request('stopJob', { id: 'stuck' })).toMatchObject({ state: 'stopping' });
    const [stuck, behind] = await Promise.all(['stuck', 'behind'].map(id => client.request('waitForJob', { id })));
    expect([stuck, behind]).toMatchObject([{ state: 'stopped' }, { state: 'succeeded', result: 'done' }]);
    expect(stuck?.resume).toBeUndefined();
  });
  rmSync(folder, { recursive: true, force: true });
});

test('a run that is killed by a stop keeps its checkpoints and can be resumed', async () => {
  const runDir = join(task.folder, 'runs', 'late');
  await withDaemon({ stopTimes: { silence: 600, save: 600, ask: 0, terminate: 0 } }, async client => {
    const frequent = { ...recipe, overrides: ['save_steps=2'] };
    await client.request('train', { id: 'late', recipe: frequent, runDir });
    // Not the checkpoint that is rehearsed before the first update and then removed.
    await until(() => checkpointSteps(runDir).some(step => step > 0), 'a checkpoint', 120_000);
    await client.request('abortJob', { id: 'late' });
    expect(await client.request('waitForJob', { id: 'late' })).toMatchObject({ state: 'aborted', resume: { runDir } });
    expect(await readRunState(runDir)).toMatchObject({ state: 'stopped', reason: 'stopped at your request' });
    // Regardless of how far it got before it was killed.
    const { step = 0 } = (await readRunState(runDir)) ?? {};
    await client.request('resume', { id: 'on', runDir, overrides: [`max_steps=${Math.max(step, ...checkpointSteps(runDir)) + 2}`] });
    expect(await client.request('waitForJob', { id: 'on' })).toMatchObject({ result: { runDir } });
    expect(readRecord(join(runDir, 'state.json'))).toMatchObject({ state: 'finished' });
  });
});
