/** Tests that damaged images are detected by their header and ending, and that whole ones are never rejected. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkImages } from '../../../trainer/data/image/check-images.ts';
import { type ImageSample, listImages } from '../../../trainer/data/image/image-samples.ts';
import { required } from '../../../trainer/narrow.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-check-images-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const noise = sharp({
  create: { width: 40, height: 30, channels: 3, background: 'black', noise: { type: 'gaussian', mean: 128, sigma: 50 } },
});
const whole: Record<string, Buffer> = {};

async function samplesOf(kind: string, files: Readonly<Record<string, Uint8Array | string>>): Promise<readonly ImageSample[]> {
  mkdirSync(join(folder, kind, 'label'), { recursive: true });
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, kind, 'label', name), bytes);
  return (await listImages({ paths: [join(folder, kind)], columns: {}, labels: [], seed: 0 })).samples;
}

beforeAll(async () => {
  for (const format of ['png', 'jpeg', 'gif', 'webp', 'tiff'] as const) whole[`a.${format}`] = await noise.toFormat(format).toBuffer();
  whole['a.jpg'] = required(whole['a.jpeg'], 'the image');
  delete whole['a.jpeg'];
});

const ignore = () => undefined;
const badOf = async (samples: readonly ImageSample[]) =>
  (await checkImages(samples, ignore)).bad.map(({ place: { file }, problem }) => `${basename(file ?? '')}: ${problem}`);

test('whole images of every format pass, even with bytes behind their end', async () => {
  const more = Object.fromEntries(
    Object.entries(whole).map(([name, bytes]) => [`more-${name}`, Buffer.concat([bytes, Buffer.alloc(99, 1)])]),
  );
  expect(await badOf(await samplesOf('whole', { ...whole, ...more }))).toEqual([]);
});

test('empty files, truncated headers and other files are reported in order, with the reason', async () => {
  const cut = Object.fromEntries(Object.entries(whole).map(([name, bytes]) => [name, bytes.subarray(0, 20)]));
  const files = { ...cut, 'empty.png': '', 'page.jpg': '<!doctype html><title>404</title>' };
  const found = await badOf(await samplesOf('header', files));
  expect(found.map(text => text.split(':')[0])).toEqual(Object.keys(files).sort());
  for (const text of found) expect(text).toMatch(/: the image does not decode: ./);
});

test('images cut in the middle are reported', async () => {
  const cut = ['a.png', 'a.jpg', 'a.gif'].map(name => [name, whole[name]?.subarray(0, (whole[name]?.length ?? 0) >> 1) ?? ''] as const);
  expect(await badOf(await samplesOf('middle', Object.fromEntries(cut)))).toHaveLength(cut.length);
});

test('a missing file is reported', async () => {
  const samples = await samplesOf('gone', { 'a.png': required(whole['a.png'], 'the image') });
  rmSync(join(folder, 'gone'), { recursive: true });
  expect(await badOf(samples)).toEqual([expect.stringContaining('a.png: the image does not decode: no such file or directory')]);
});

test('progress is reported after each image, and an error that it throws ends the check', async () => {
  const samples = await samplesOf('progress', whole);
  const told: number[] = [];
  expect(await checkImages(samples, done => void told.push(done))).toMatchObject({ bad: [], checked: samples.length });
  expect(told).toEqual(samples.map((_, i) => i + 1));
  const stop = () => {
    throw new Error('stopped');
  };
  await expect(checkImages(samples, stop)).rejects.toThrow('stopped');
});
