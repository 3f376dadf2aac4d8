/** Processes that cannot be started: the request that needs one fails with the reason, and nothing else ends. */
import { expect, onTestFinished, test } from 'vitest';
import { runCommand } from '../../trainer/engine/install/run-command.ts';
import { Reader } from '../../trainer/reader/reader.ts';
import { connectTo, startTestDaemon } from '../support/daemon/daemon.ts';

/** No path has a zero byte, so Node throws at once, as it does when the system has no memory for a process. */
const IMPOSSIBLE = '/no\0file';

test('a daemon that cannot start processes keeps running and gives the reason', async () => {
  const daemon = await startTestDaemon({ workerFile: IMPOSSIBLE, readerFile: IMPOSSIBLE });
  onTestFinished(() => daemon.stop());
  const client = await connectTo(daemon);
  for (const id of ['one', 'two']) {
    await client.request('doctor', { id, engine: 'portable' });
    expect(await client.request('waitForJob', { id })).toMatchObject({
      state: 'failed',
      failure: { code: 'worker-start', message: expect.stringContaining('null bytes') },
    });
  }
  await expect(client.request('modelTasks', { model: '/models/x' })).rejects.toThrow(
    "Reading /models/x failed: the reading process can't be",
  );
  expect((await client.request('daemonStatus', {})).jobs).toEqual({ queued: 0, running: 0, ended: 2 });
  client.close();
});

test('every waiting request gets the reason, not only the first', async () => {
  const reader = new Reader({ script: IMPOSSIBLE });
  const asked = ['a', 'b', 'c'].map(model => reader.ask('tasks', { model }, `Reading ${model}`));
  for (const each of asked)
    await expect(each).rejects.toMatchObject({ name: 'ReadStopped', message: expect.stringContaining('null bytes') });
  expect(reader.pids).toEqual([]);
});

test.each([
  ['missing', '/no/such/program'],
  ['impossible', IMPOSSIBLE],
])('a command whose program is %s has status -1', async (_, program) => {
  expect(await runCommand(program, [])).toMatchObject({ status: -1, output: expect.stringMatching(/ENOENT|null bytes/) });
});
