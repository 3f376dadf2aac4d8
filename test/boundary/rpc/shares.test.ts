/** Tests trainings of a daemon that each use a part of the machine: which run at the same time, and what their workers may use. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { JobRecord } from '../../../trainer/protocol/messages/rpc-messages.ts';
import { stringifyRecipe } from '../../../trainer/protocol/recipe/stringify-recipe.ts';
import type { DaemonClient } from '../../../trainer/rpc/connection/connect.ts';
import type { Devices } from '../../../trainer/rpc/jobs/device-shares.ts';
import { connectTo, startTestDaemon, until } from '../../support/daemon/daemon.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

/** A worker that trains until it is stopped and reports what it may use. */
const WORKER = `
let request;
process.on('message', message => {
  if (request === undefined) {
    request = message;
    return process.send({ type: 'metrics', step: 1, values: { loss: 1 } });
  }
  const value = { state: 'stopped', gpus: process.env.CUDA_VISIBLE_DEVICES ?? null, cores: request.context.cores ?? null };
  process.send({ type: 'result', value }, () => process.exit(0));
});
`;

const task = makeTinyTask();
const workerFile = join(makeTemporaryFolder(), 'worker.mjs');
writeFileSync(workerFile, WORKER);
const ends: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const end of ends) await end();
});

interface Trial {
  readonly client: DaemonClient;
  readonly train: (id: string, ...settings: readonly string[]) => Promise<JobRecord>;
  readonly running: () => Promise<readonly string[]>;
}

async function daemonWith(devices: Devices, availableBytes = 2 ** 40): Promise<Trial> {
  const daemon = await startTestDaemon({ workerFile, devices, availableBytes: () => availableBytes });
  const client = await connectTo(daemon, true);
  ends.push(() => daemon.stop());
  const train = (id: string, ...settings: readonly string[]): Promise<JobRecord> => {
    const recipe = {
      text: stringifyRecipe(task.recipe(`output_dir=${id}`, ...settings)),
      fileName: 'a.rowtune.yaml',
      baseDir: task.folder,
    };
    return client.request('train', { id, recipe });
  };
  const running = async (): Promise<readonly string[]> =>
    (await client.request('listJobs', {})).filter(({ state }) => state === 'running').map(({ id }) => id);
  return { client, train, running };
}

/** Stops a job. @returns its record with the result */
async function stop(client: DaemonClient, id: string): Promise<JobRecord> {
  await client.request('stopJob', { id });
  return client.request('waitForJob', { id });
}

const becomes = async ({ running }: Trial, ids: readonly string[]): Promise<void> =>
  until(async () => (await running()).join() === ids.join(), `${ids.join()} run`);

describe('on a processor', () => {
  test('trainings whose threads fit run at the same time, and one that waits is not overtaken', async () => {
    const trial = await daemonWith({ cores: 4, gpus: [] });
    const { client, train } = trial;
    await train('a', 'threads=1', 'processes=2', 'per_device_train_batch_size=2');
    await train('b', 'threads=1');
    await becomes(trial, ['a', 'b']);
    await train('all');
    await train('c', 'threads=1');
    const records = await client.request('listJobs', {});
    expect(records.map(({ state }) => state)).toEqual(['running', 'running', 'queued', 'queued']);
    expect(records.map(({ share }) => share)).toMatchObject([
      { processes: 2, cores: 2, allCores: 4 },
      { processes: 1, cores: 1, allCores: 4 },
      undefined,
      undefined,
    ]);
    expect(await stop(client, 'a')).toMatchObject({ result: { cores: 2, gpus: null } });
    // One core is still in use.
    expect(await trial.running()).toEqual(['b']);
    await stop(client, 'b');
    await becomes(trial, ['all']);
    expect(await stop(client, 'all')).toMatchObject({ share: { cores: 4 }, result: { cores: null } });
    await becomes(trial, ['c']);
  });

  test('a second training waits while memory is short', async () => {
    const trial = await daemonWith({ cores: 4, gpus: [] }, 1);
    await trial.train('first', 'threads=1');
    await becomes(trial, ['first']);
    await trial.train('second', 'threads=1');
    const [first] = await trial.client.request('listJobs', {});
    expect(first).toMatchObject({ state: 'running', share: { cores: 1, allCores: 4 } });
    expect(await trial.running()).toEqual(['first']);
    await stop(trial.client, 'first');
    await becomes(trial, ['second']);
  });
});

test('each training sees only its own GPUs', async () => {
  const trial = await daemonWith({ cores: 8, gpus: ['0', '1', '2', '3'] });
  await trial.train('one');
  await trial.train('two', 'processes=2', 'per_device_train_batch_size=2');
  await trial.train('three', 'processes=2', 'per_device_train_batch_size=2');
  await becomes(trial, ['one', 'two']);
  expect(await stop(trial.client, 'two')).toMatchObject({ result: { gpus: '1,2', cores: 4 } });
  await becomes(trial, ['one', 'three']);
  expect(await stop(trial.client, 'one')).toMatchObject({ result: { gpus: '0', cores: 2 } });
});
