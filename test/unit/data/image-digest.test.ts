/** Tests that the digest, which refuses changed data on a resume, covers the content of images, however they are stored. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, expect, test } from 'vitest';
import { describeDifference, digestSamples } from '../../../trainer/data/data-digest.ts';
import { checkImages } from '../../../trainer/data/image/check-images.ts';
import { listImages } from '../../../trainer/data/image/image-samples.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-digest-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Returns the digest that a run computes. */
async function digestOf(path: string): Promise<string> {
  const { samples } = await listImages({ paths: [path], columns: {}, labels: [], seed: 1 });
  const { contents } = await checkImages(
    samples.filter(({ glance }) => glance),
    () => undefined,
  );
  return digestSamples(samples.map(sample => ({ ...sample, content: sample.content ?? contents.get(sample) })));
}

test('notices an image replaced by another of the same name and size', async () => {
  const root = join(folder, 'images');
  for (const label of ['cat', 'dog']) mkdirSync(join(root, label), { recursive: true });
  // Noise does not compress, so the parts of the file that are read are not all of it.
  const noise = { type: 'gaussian', mean: 128, sigma: 50 } as const;
  const image = sharp({ create: { width: 120, height: 120, channels: 3, background: 'black', noise } });
  const bytes = await image.png().toBuffer();
  expect(bytes.length).toBeGreaterThan(20_000);
  for (const name of ['cat/1.png', 'cat/2.png', 'dog/1.png']) writeFileSync(join(root, name), bytes);
  const before = await digestOf(root);
  utimesSync(join(root, 'cat/1.png'), 1, 1);
  expect(describeDifference(before, await digestOf(root))).toBeUndefined();
  const other = Buffer.from(bytes);
  // The checksum of the pixels, before the ending.
  other.writeUInt8(other.readUInt8(other.length - 16) ^ 1, other.length - 16);
  writeFileSync(join(root, 'cat/2.png'), other);
  expect(describeDifference(before, await digestOf(root))).toBe('the 3 samples have the same names and labels, but other contents');
});

test('notices a changed pixel in a CIFAR binary', async () => {
  const root = join(folder, 'cifar');
  mkdirSync(root);
  const file = join(root, 'data_batch_1.bin');
  const records = Buffer.alloc(3073 * 400);
  for (let i = 0; i < 400; i++) records[3073 * i] = i % 10;
  writeFileSync(file, records);
  const before = await digestOf(root);
  expect((await listImages({ paths: [root], columns: {}, labels: [], seed: 1 })).samples.map(({ label }) => Number(label))).toEqual(
    Array.from({ length: 400 }, (_, i) => i % 10),
  );
  const changed = readFileSync(file);
  changed[2 ** 20] = 1;
  writeFileSync(file, changed);
  expect(describeDifference(before, await digestOf(root))).toContain('other contents');
});

test('an older digest without contents is compared by names and labels', () => {
  const sample = { file: 'a.png', label: 'cat', target: 0 };
  const [old, now] = [digestSamples([sample]), digestSamples([{ ...sample, content: 7 }])];
  expect(describeDifference(old, now)).toBeUndefined();
  expect(describeDifference(old, digestSamples([{ ...sample, label: 'dog', content: 7 }]))).toBe('1 samples then, 1 now, or others');
});
