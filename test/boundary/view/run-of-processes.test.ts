/** A run of two processes through the daemon: one job in the queue, and one run on its page, with memory and speed of each process. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectRun } from '../../../client/pages/run-host.ts';
import { RunModel } from '../../../media/shared/run-model.ts';
import { installMpi } from '../../../trainer/engine/install/install-mpi.ts';
import { stringifyRecipe } from '../../../trainer/protocol/recipe/stringify-recipe.ts';
import type { RunToPage } from '../../../trainer/protocol/view/run.ts';
import type { DaemonClient } from '../../../trainer/rpc/connection/connect.ts';
import type { Daemon } from '../../../trainer/rpc/daemon.ts';
import { cacheDir, connectTo, startTestDaemon, until } from '../../support/daemon/daemon.ts';
import { openTestPage, testServices } from '../../support/pages/page-host.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';
import { engineForTests } from '../../unit/engine/engine-for-tests.ts';

const { engine, reason } = await engineForTests();
const task = makeTinyTask();
const runDir = join(task.folder, 'runs', 'both');
const SETTINGS = ['engine=tensorflow', 'dtype=float32', 'max_steps=6', 'logging_steps=2', 'per_device_train_batch_size=2'];

describe.skipIf(!engine)(`a run of two processes ${reason}`, () => {
  let daemon: Daemon;
  let client: DaemonClient;
  beforeAll(async () => {
    await installMpi({ cacheDir, log: () => undefined });
    daemon = await startTestDaemon();
    client = await connectTo(daemon, true);
  });
  afterAll(async () => {
    await daemon.stop();
    rmSync(task.folder, { recursive: true, force: true });
  });

  test('is one job, and its page has memory and speed by rank', async () => {
    const services = testServices();
    await services.follow(client);
    const model = new RunModel();
    const page = openTestPage<RunToPage>(connectRun, {
      state: { runDir },
      services,
      onPost: message => message.type !== 'notice' && model.apply(message),
    });
    page.receive({ type: 'ready' });
    const text = stringifyRecipe(task.recipe(...SETTINGS, 'processes=2'));
    await client.request('train', { id: 'both', recipe: { text, fileName: 'both.rowtune.yaml', baseDir: task.folder }, runDir });
    // Both processes use the device together, so the next job waits for both.
    const modelDir = join(task.folder, 'model');
    await client.request('verify', { id: 'next', modelDir, engine: 'portable' });
    expect((await client.request('listJobs', {})).map(({ id, state }) => [id, state])).toEqual([
      ['both', 'running'],
      ['next', 'queued'],
    ]);
    expect(await client.request('waitForJob', { id: 'both' })).toMatchObject({ state: 'succeeded', metrics: { step: 6 } });
    // The lines of metrics are sent after the state and the ranks.
    const isWhole = () => model.ranks?.step === 6 && model.history.points('loss').x.length === 3;
    await until(() => model.overview?.state === 'finished' && isWhole(), 'the end on the page');
    page.dispose();
    expect(model.history.points('loss').x).toEqual(Float64Array.of(2, 4, 6));
    const { ranks = [] } = model.ranks ?? {};
    expect(ranks.map(({ rank }) => rank)).toEqual([0, 1]);
    expect(new Set(ranks.map(({ pid }) => pid)).size).toBe(2);
    for (const { residentBytes, peakBytes, secondsPerUpdate, waitedSeconds, bytesPerUpdate } of ranks) {
      expect(peakBytes).toBeGreaterThanOrEqual(residentBytes);
      expect(residentBytes).toBeGreaterThan(50e6);
      expect(secondsPerUpdate).toBeGreaterThan(waitedSeconds);
      // The gradients in float32, and a few numbers for the counts.
      const gradients = 4 * (model.coverage?.trainable ?? 0);
      expect(bytesPerUpdate).toBeGreaterThanOrEqual(gradients);
      expect(bytesPerUpdate).toBeLessThan(gradients + 2000);
    }
    await client.request('waitForJob', { id: 'next' });
  });
});
