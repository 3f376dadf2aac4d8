/** Previews of data over the daemon: samples arrive as an event and in the result, and previews do not wait for a job on the device. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
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

test('a preview has the requested samples, and facts about all samples if asked', async () => {
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

describe('a new recipe', () => {
  const ask = { method: 'spsft', baseDir: task.folder } as const;

  test('trains no more rows than the smallest layer has, and names the columns of a chat', async () => {
    cpSync(path.join(import.meta.dirname, '../../golden/qwen3_5'), path.join(task.folder, 'small'), { recursive: true });
    writeFileSync(path.join(task.folder, 'faq.csv'), 'question,answer\nWhy?,So.\n');
    expect(await client.request('newRecipe', { ...ask, model: 'small', data: 'faq.csv', task: 'causal_lm' })).toEqual({
      fitting: {
        task: 'causal_lm',
        columns: { instruction: 'question', output: 'answer' },
        maxPositions: expect.any(Number),
        r: 24,
      },
    });
  });

  test.each([
    [{ model: 'model', data: 'photos', task: 'causal_lm' }, /photos is a folder of images, and .* reads texts/],
    [{ model: 'model', task: 'image_classification' }, /can't be tuned for image_classification; use causal_lm/],
    [{ model: './modle' }, /did you mean '\.\/model'/],
    [{ model: 'model', data: 'gone.csv' }, /there is no file or folder gone\.csv/],
  ] as const)('is not written from %j', async (asked, message) => {
    mkdirSync(path.join(task.folder, 'photos', 'cat'), { recursive: true });
    writeFileSync(path.join(task.folder, 'photos', 'cat', '1.png'), '');
    expect(await client.request('newRecipe', { ...ask, ...asked })).toMatchObject({ problem: { message: expect.stringMatching(message) } });
  });
});
