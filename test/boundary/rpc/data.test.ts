/** Previews of data over the daemon: samples come as an event and in the result, and neither waits for a job on the device. */
import { rmSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { checkResult } from '../../../trainer/cli/check-result.ts';
import type { JobEvent } from '../../../trainer/protocol/messages/rpc-messages.ts';
import { connectTo, startTestDaemon } from '../../support/daemon/daemon.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
const daemon = await startTestDaemon();
const client = await connectTo(daemon, true);
afterAll(async () => {
  client.close();
  await daemon.stop();
  rmSync(task.folder, { recursive: true, force: true });
});

test('samples and facts about all of them', async () => {
  const events: JobEvent[] = [];
  client.on('jobEvent', event => events.push(event));
  const recipe = { text: task.text, fileName: 'tiny.rowtune.yaml', baseDir: task.folder };
  const start = { recipe, part: 'train', from: 2, count: 3 } as const;
  await client.request('previewData', { id: 'all', ...start, statistics: true });
  await client.request('previewData', { id: 'page', ...start, statistics: false });
  const [all, page] = await Promise.all(['all', 'page'].map(id => client.request('waitForJob', { id })));
  const [whole, part] = [all, page].map(job => checkResult('data', job?.result));
  expect(part?.page.samples.map(({ index }) => index)).toEqual([2, 3, 4]);
  expect(part?.statistics).toBeUndefined();
  expect(whole?.page).toEqual(part?.page);
  expect(whole?.statistics?.parts.map(({ samples }) => samples)).toEqual([24, 10]);
  expect(events.filter(({ event }) => event.type === 'samples')).toHaveLength(2);
});
