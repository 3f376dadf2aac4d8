/** Tests the messages of a run about invalid images and folders. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeFailure } from '../../../../trainer/run-error.ts';
import { cacheDir } from '../../../support/cache-dir.ts';
import { recipeOf } from '../../../support/runs/recipe-of.ts';
import { runInProcess } from '../../../support/runs/run-in-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-image-run-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (...parts: string[]): string => join(folder, ...parts);

beforeAll(async () => {
  cpSync(join(import.meta.dirname, '..', '..', '..', 'golden', 'vit'), at('model'), { recursive: true });
  const picture = (value: number) =>
    sharp({ create: { width: 8, height: 8, channels: 3, background: { r: value, g: value, b: value } } })
      .png()
      .toBuffer();
  const [dark, light] = [await picture(20), await picture(220)];
  const put = (path: string, bytes: Buffer): void => {
    mkdirSync(at(path, '..'), { recursive: true });
    writeFileSync(at(path), bytes);
  };
  for (const part of ['good', 'damaged', 'held'])
    for (const [label, bytes] of Object.entries({ day: light, night: dark })) {
      put(`${part}/${label}/1.png`, bytes);
      put(`${part}/${label}/2.png`, bytes);
    }
  for (const [label, bytes] of Object.entries({ day: light, night: dark })) {
    put(`late/${label}/1.png`, bytes);
    put(`late/${label}/2.png`, bytes);
  }
  // Header and ending are intact, so the damaged data between them is found only when it is decoded.
  const broken = Buffer.from(dark);
  broken.writeUInt8(broken.readUInt8(broken.length - 13) ^ 255, broken.length - 13);
  put('late/day/3.png', broken);
  for (const name of ['a.png', 'b.png']) put(`damaged/day/${name}`, dark.subarray(0, 20));
  for (const label of ['day', 'night']) put(`nothing/${label}/1.png`, dark.subarray(0, 20));
  put('strange/dusk/1.png', dark);
  put('one/day/1.png', light);
});

const train = (name: string, ...more: string[]) => {
  const overrides = ['model=model', 'task=image_classification', 'method=head', 'num_train_epochs=3', 'engine=portable', ...more];
  const recipe = recipeOf(...overrides);
  const context = { cacheDir, baseDir: folder, hub: { offline: true } } as const;
  return runInProcess({ kind: 'train', recipe, runDir: at('runs', name), context });
};
const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    error => describeFailure(error).event,
  );

test('images that do not decode: each is named once, however many epochs meet it, counted and left out', async () => {
  const { events, value } = await train('skip', 'data.train=damaged', 'data.bad_images=skip');
  const told = events.flatMap(event => (event.type === 'log' && event.message.startsWith('left out') ? [event.message] : []));
  const [summary, step] = [
    events.findIndex(event => event.type === 'log' && event.message === '2 of 6 images do not decode and are left out'),
    events.findIndex(({ type }) => type === 'metrics'),
  ];
  expect(summary).toBeGreaterThan(0);
  expect(step).toBeGreaterThan(summary);
  expect(told.map(text => /^left out, (\d) so far: .*\/(.\.png): the image does not decode/.exec(text)?.[1])).toEqual(['1', '2']);
  for (const name of ['a.png', 'b.png']) expect(told.filter(text => text.includes(name))).toHaveLength(1);
  expect(value.state).toBe('finished');
});

test.each([
  [
    'an image that does not decode',
    ['data.train=damaged'],
    /damaged\/day\/a\.png: the image does not decode: .*; nor does 1 more: \S*damaged\/day\/b\.png\. .*bad_images: skip/,
  ],
  [
    'no image that decodes',
    ['data.train=nothing', 'data.bad_images=skip'],
    /nothing\/day\/1\.png: the image does not decode: .*; nor does 1 more: .*not one image decodes/,
  ],
  [
    'a held-out label that is not trained',
    ['data.train=good', 'data.eval=strange'],
    /strange\/dusk\/1\.png: the label "dusk", expected one of day, night\. Add it/,
  ],
  [
    'a label that is not in the list',
    ['data.train=good', 'data.labels=[day, dawn]'],
    /night\/1\.png: the label "night", expected one of day, dawn/,
  ],
  [
    'a size that the model does not take',
    ['data.train=good', 'data.image_size=40'],
    /image_size is 40, but the model takes images of \d+ × \d+ alone/,
  ],
  ['one label', ['data.train=one'], /every sample has the label "day"\. Give samples of at least two labels\.$/],
])('%s stops the run, with its place', async (name, settings, message) => {
  const code = name.startsWith('a size') ? 'unsupported' : 'data';
  expect(await failureOf(train(name, ...settings))).toMatchObject({ code, message: expect.stringMatching(message) });
});

test('training before a bad image is saved, and the run continues without the image', async () => {
  // One image per batch, in order: the first two of `day` are good.
  const settings = ['data.train=late', 'per_device_train_batch_size=1', 'data.shuffle=false'];
  expect(await failureOf(train('late', ...settings))).toMatchObject({
    code: 'data',
    message: expect.stringMatching(/day\/3\.png: the image/),
  });
  const context = { cacheDir, baseDir: folder, hub: { offline: true } } as const;
  const { events, value } = await runInProcess({
    kind: 'resume',
    runDir: at('runs', 'late'),
    overrides: ['data.bad_images=skip'],
    context,
  });
  expect(events.some(event => event.type === 'log' && /left out, 1 so far: .*day\/3\.png/.test(event.message))).toBe(true);
  expect(value).toMatchObject({ state: 'finished', steps: 15 });
});
