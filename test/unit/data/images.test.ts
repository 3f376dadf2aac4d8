/** Images in their usual forms: CIFAR's binaries, Tiny-ImageNet, Caltech-101, any folder of classes; decoding, augmentation, and errors. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBatchPlan } from '../../../trainer/data/batch/batch-plan.ts';
import { epochBatches } from '../../../trainer/data/batch/batches.ts';
import { imageSource } from '../../../trainer/data/image/image-batches.ts';
import { resample } from '../../../trainer/data/image/image-resample.ts';
import { type ImageSample, type ListImagesInput, listImages } from '../../../trainer/data/image/image-samples.ts';
import { type Augmentation, loadImage } from '../../../trainer/data/image/load-image.ts';
import type { ImagePreprocessing } from '../../../trainer/format/image/image-preprocessing.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import { createRandom } from '../../../trainer/random.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-images-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
function write(name: string, bytes: Uint8Array | string): string {
  mkdirSync(dirname(at(name)), { recursive: true });
  writeFileSync(at(name), bytes);
  return at(name);
}

/** Returns a picture of one color; with `split`, the left half is red. */
async function picture(kind: 'png' | 'jpeg', [width, height]: readonly [number, number], split = false): Promise<Buffer> {
  const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) =>
    split && i % 3 === 0 && (Math.floor(i / 3) % width) * 2 < width ? 255 : 0,
  );
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    [kind]()
    .toBuffer();
}

const listed = (path: string, more: Partial<ListImagesInput> = {}) =>
  listImages({ paths: [path], columns: {}, labels: [], seed: 0, ...more });
const list = async (path: string, labels: readonly string[] = []) => (await listed(path, { labels })).samples;
const namesOf = (samples: readonly ImageSample[]) => samples.map(({ label, line }) => `${label} ${line}`);

const plain: ImagePreprocessing = {
  resize: { kind: 'exact', height: 8, width: 8 },
  height: 8,
  width: 8,
  kernel: 'linear',
  rescale: 1 / 255,
  mean: [0],
  std: [1],
  source: 'the test',
};

async function pixelsOf(
  sample: ImageSample,
  augment: readonly Augmentation[] = [],
  preprocessing = plain,
  seed = 1,
): Promise<Float32Array> {
  const into = new Float32Array(preprocessing.height * preprocessing.width * 3);
  await loadImage({ sample, preprocessing, channels: 3, augment, random: createRandom(seed), into });
  return into;
}

/** Returns label bytes, then planes with `value` in red. */
const cifarRecord = (labels: readonly number[], value: number): number[] => [
  ...labels,
  ...new Array(1024).fill(value),
  ...new Array(2048).fill(0),
];

beforeAll(async () => {
  for (const [name, kind] of [
    ['classes/cat/1.png', 'png'],
    ['classes/cat/2.jpg', 'jpeg'],
    ['classes/dog/deep/3.PNG', 'png'],
    ['classes/.hidden/4.png', 'png'],
    ['tiny/train/n01/images/n01_0.JPEG', 'jpeg'],
    ['tiny/train/n02/images/n02_0.JPEG', 'jpeg'],
    ['tiny/val/images/val_0.JPEG', 'jpeg'],
    ['tiny/val/images/val_1.JPEG', 'jpeg'],
    ['101_ObjectCategories/accordion/image_0001.jpg', 'jpeg'],
    ['101_ObjectCategories/BACKGROUND_Google/image_0001.jpg', 'jpeg'],
  ] as const)
    write(name, await picture(kind, [12, 10]));
  write('classes/notes.txt', 'no image');
  write('tiny/train/n01/n01_boxes.txt', 'n01_0.JPEG\t0\t0\t1\t1\n');
  write('tiny/val/val_annotations.txt', 'val_0.JPEG\tn02\t0\t32\t44\t62\nval_1.JPEG\tn01\t0\t0\t1\t1\n');
  write('cifar10/data_batch_1.bin', Uint8Array.from([...cifarRecord([1], 100), ...cifarRecord([0], 200)]));
  write('cifar10-batches-bin/data_batch_1.bin', Uint8Array.from(cifarRecord([1], 100)));
  write('cifar10-batches-bin/test_batch.bin', Uint8Array.from(cifarRecord([1], 50)));
  write('cifar10/batches.meta.txt', 'airplane\nautomobile\n\n');
  write('cifar100/train.bin', Uint8Array.from([...cifarRecord([9, 1], 100), ...cifarRecord([9, 0], 0)]));
  write('cifar100/fine_label_names.txt', 'apple\naquarium_fish\n');
});

describe('listImages', () => {
  it('takes each folder as a class, at any depth, without hidden files', async () => {
    expect((await list(at('classes'))).map(({ label, file }) => [label, file.slice(folder.length + 9)])).toEqual([
      ['cat', 'cat/1.png'],
      ['cat', 'cat/2.jpg'],
      ['dog', 'dog/deep/3.PNG'],
    ]);
    expect((await list(at('101_ObjectCategories'))).map(({ label }) => label)).toEqual(['BACKGROUND_Google', 'accordion']);
  });

  it("Tiny-ImageNet's train and val, with the labels of train", async () => {
    expect((await list(at('tiny/train'))).map(({ label }) => label)).toEqual(['n01', 'n02']);
    const val = await list(at('tiny/val'), ['n01', 'n02']);
    expect(val.map(({ label, file }) => [label, file.slice(-10)])).toEqual([
      ['n02', 'val_0.JPEG'],
      ['n01', 'val_1.JPEG'],
    ]);
  });

  it('CIFAR-10 and CIFAR-100 with their names, pixels in order', async () => {
    expect(namesOf(await list(at('cifar10/data_batch_1.bin')))).toEqual(['automobile 1', 'airplane 2']);
    expect(namesOf(await list(at('cifar10')))).toEqual(['automobile 1', 'airplane 2']);
    // A training that saw one of the two labels; unknown labels keep their names.
    expect(namesOf(await list(at('cifar10'), ['automobile']))).toEqual(['automobile 1', 'airplane 2']);
    expect(namesOf(await list(at('cifar10-batches-bin/test_batch.bin'), ['0', '2']))).toEqual(['1 1']);
    const fine = await list(at('cifar100/train.bin'));
    expect(namesOf(fine)).toEqual(['aquarium_fish 1', 'apple 2']);
    const size32 = { ...plain, resize: { kind: 'exact', height: 32, width: 32 }, height: 32, width: 32 } as const;
    const pixels = await pixelsOf(elementAt(fine, 0), [], size32);
    expect([pixels[0], pixels[1], pixels[3 * 1023]]).toEqual([Math.fround(100 / 255), 0, Math.fround(100 / 255)]);
  });

  it('Parquet as the hub stores images, with labels by their numbers', async () => {
    const samples = await list(join(import.meta.dirname, 'fixtures', 'images.parquet'), ['cat', 'dog']);
    expect(namesOf(samples)).toEqual(['dog 1', 'cat 2', 'dog 3']);
    const reds = await Promise.all(samples.map(async sample => (await pixelsOf(sample))[0]));
    expect(reds).toEqual([51, 102, 255].map(red => Math.fround(red / 255)));
  });

  it('refuses a folder that holds the test part next to the training part', async () => {
    await expect(list(at('cifar10-batches-bin'))).rejects.toThrow(/holds data_batch_1\.bin and test_batch\.bin, parts of a data set/);
    await expect(list(at('tiny'))).rejects.toThrow(/holds train and val, .+ data: train, .+ data: eval/);
  });

  it('draws samples by the seed, and keeps the labels of all in order', async () => {
    write('numbers/train.bin', Uint8Array.from(Array.from({ length: 100 }, (_, i) => cifarRecord([i % 12], i)).flat()));
    const drawn = (seed: number) => listed(at('numbers'), { maxSamples: 30, seed });
    const { samples, labels, count } = await drawn(1);
    expect([samples.length, count]).toEqual([30, 100]);
    expect(labels).toEqual(Array.from({ length: 12 }, (_, i) => String(i)));
    const lines = samples.map(({ line = 0 }) => line);
    expect(lines).toEqual([...new Set(lines)].sort((a, b) => a - b));
    expect(lines.at(-1)).toBeGreaterThan(50);
    expect((await drawn(1)).samples.map(({ line }) => line)).toEqual(lines);
    expect((await drawn(2)).samples.map(({ line }) => line)).not.toEqual(lines);
  });

  it('refuses records of a wrong size, labels without a name, and folders without images', async () => {
    await expect(list(write('short/train.bin', new Uint8Array(3072)))).rejects.toThrow(
      /3072 bytes are not a whole number of CIFAR records/,
    );
    await expect(list(write('empty/train.bin', new Uint8Array(0)))).rejects.toThrow(/not a whole number/);
    await expect(list(at('cifar10/data_batch_1.bin'), ['one'])).rejects.toMatchObject({ place: { line: 1 } });
    mkdirSync(at('none/cat'), { recursive: true });
    await expect(list(at('none'))).rejects.toThrow(/no labeled image/);
    await expect(list(at('nowhere'))).rejects.toThrow(/no such file or folder/);
    await expect(
      list(write('bad/val/val_annotations.txt', '../x.JPEG\tn01\n').replace(/\/val_annotations.txt$/, '')),
    ).rejects.toMatchObject({ place: { line: 1 } });
  });
});

const sampleOf = (bytes: Uint8Array, file = 'a.png'): ImageSample => ({
  label: 'x',
  file,
  line: 1,
  read: async () => ({ kind: 'encoded', bytes }),
});

describe('loadImage', () => {
  it('mirrors half of the images, and crops within them', async () => {
    const sample = sampleOf(await picture('png', [16, 16], true));
    const [left, right] = [0, 3 * 7];
    const seen = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const pixels = await pixelsOf(sample, ['flip'], plain, seed);
      seen.add(`${pixels[left]} ${pixels[right]}`);
    }
    expect([...seen].sort()).toEqual(['0 1', '1 0']);
    const cropped = await pixelsOf(sample, ['crop']);
    expect([cropped[left], cropped[right], cropped[1]]).toEqual([1, 0, 0]);
  });

  it('takes gray, transparent and CMYK images as color', async () => {
    const gray = await sharp(new Uint8Array(64).fill(51), { raw: { width: 8, height: 8, channels: 1 } })
      .png()
      .toBuffer();
    expect([...(await pixelsOf(sampleOf(gray)))].every(value => value === Math.fround(0.2))).toBe(true);
    const clear = await sharp({ create: { width: 8, height: 8, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 1 } } })
      .png()
      .toBuffer();
    expect([...(await pixelsOf(sampleOf(clear))).subarray(0, 3)]).toEqual([1, 0, 0]);
  });

  it('names a file that does not decode, truncated or no image at all', async () => {
    const whole = await picture('jpeg', [64, 64], true);
    await expect(pixelsOf(sampleOf(whole.subarray(0, whole.length / 2), 'half.jpg'))).rejects.toThrow(/half\.jpg.*does not decode/);
    await expect(pixelsOf(sampleOf(Buffer.from('no image'), 'text.png'))).rejects.toThrow(/text\.png.*does not decode/);
  });
});

const shape = {
  maxLength: 1,
  packing: false,
  shuffle: false,
  grouped: true,
  seed: 1,
  maxBuckets: 1,
  multipleOf: 1,
  maxTargetSizes: 1,
  targetMultiple: 1,
};

describe('imageSource', () => {
  const examples = async () => {
    const good = await picture('png', [8, 8]);
    return ['good.png', 'bad.png', 'good.png', 'good.png'].map((file, i) => ({
      ...sampleOf(file === 'bad.png' ? good.subarray(0, 20) : good, file),
      target: i,
    }));
  };
  const source = async (onSkip?: (error: Error) => void) => {
    const all = await examples();
    const sequences = all.map(() => ({ ids: new Int32Array(1), train: Uint8Array.of(1) }));
    return imageSource({
      plan: createBatchPlan(sequences, { ...shape, batchSize: 2 }),
      examples: all,
      preprocessing: plain,
      channels: 3,
      augment: [],
      seed: 1,
      onSkip,
    });
  };

  it('leaves out what does not decode and says which, or stops', async () => {
    const skipped: string[] = [];
    const kept: number[][] = [];
    for await (const { sampleIndices } of epochBatches(await source(({ message }) => skipped.push(message)), 0))
      kept.push([...sampleIndices]);
    expect(kept).toEqual([[0], [2, 3]]);
    expect(skipped).toHaveLength(1);
    expect(skipped[0]).toContain('bad.png');
    const all = await source();
    await expect(
      (async () => {
        for await (const _ of epochBatches(all, 0));
      })(),
    ).rejects.toThrow(/bad\.png/);
  });

  it('fills up a batch with copies that have no weight', async () => {
    const good = await picture('png', [8, 8], true);
    const files = ['red.png', 'bad.png', 'black.png'];
    const bytes = [good, good.subarray(0, 20), await picture('png', [8, 8])];
    const examples = files.map((file, i) => ({ ...sampleOf(elementAt(bytes, i), file), target: i }));
    const sequences = files.map(() => ({ ids: new Int32Array(1), train: Uint8Array.of(1) }));
    const plan = createBatchPlan(sequences, { ...shape, batchSize: 5 });
    const all = imageSource({ plan, examples, preprocessing: plain, channels: 3, augment: [], seed: 1, onSkip: () => undefined });
    for await (const batch of epochBatches(all, 0)) {
      const { pixels, labels, weights } = batch.feeds(2);
      expect(Array.from({ length: 5 }, (_, row) => pixels?.[row * 8 * 8 * 3])).toEqual([1, 0, 1, 0, 1]);
      expect([batch.targetCount, Array.from(labels ?? []).slice(0, 2), Array.from(weights ?? [])]).toEqual([
        2,
        [0, 2],
        [0.5, 0.5, 0, 0, 0],
      ]);
    }
  });
});

describe('decoding ahead', () => {
  it('starts decoding the next two batches when one is returned', async () => {
    const bytes = await picture('png', [8, 8]);
    let reads = 0;
    const read = async () => {
      reads++;
      return { kind: 'encoded', bytes } as const;
    };
    const examples = Array.from({ length: 10 }, () => ({ label: 'x', file: 'a.png', line: 1, read, target: 0 }));
    const sequences = examples.map(() => ({ ids: new Int32Array(1), train: Uint8Array.of(1) }));
    const plan = createBatchPlan(sequences, { ...shape, batchSize: 2 });
    const all = imageSource({ plan, examples, preprocessing: plain, channels: 3, augment: [], seed: 1 });
    const seen: number[] = [];
    for await (const _ of epochBatches(all, 0)) seen.push(reads);
    expect(seen).toEqual([6, 8, 10, 10, 10]);
    // Each of several processes fills its own batches.
    reads = 0;
    const [first, , third] = plan.epoch(0);
    if (!first || !third) throw new Error('no batches');
    await all.fill(first, [third]);
    expect(reads).toBe(4);
  });

  it('reuses the arrays of released batches', async () => {
    const colors = [await picture('png', [8, 8], true), Buffer.from('none'), await picture('png', [8, 8])];
    const examples = Array.from({ length: 12 }, (_, i) => ({ ...sampleOf(elementAt(colors, i % 3), `${i}.png`), target: i }));
    const sequences = examples.map(() => ({ ids: new Int32Array(1), train: Uint8Array.of(1) }));
    const plan = createBatchPlan(sequences, { ...shape, batchSize: 1 });
    const all = imageSource({ plan, examples, preprocessing: plain, channels: 3, augment: [], seed: 1, onSkip: () => undefined });
    const arrays = new Set<unknown>();
    const firsts: (number | undefined)[] = [];
    for await (const batch of epochBatches(all, 0)) {
      const { pixels } = batch.feeds(1);
      arrays.add(pixels);
      firsts.push(pixels?.[0]);
    }
    expect(firsts).toEqual(Array.from({ length: 4 }, () => [1, 0, 0]).flat());
    expect(arrays.size).toBeLessThanOrEqual(3);
  });
});

describe('resample', () => {
  it('keeps a flat image flat, and interpolates between the middles of pixels', () => {
    const flat = resample({
      data: new Uint8Array(12).fill(77),
      from: { width: 2, height: 2 },
      to: { width: 7, height: 5 },
      channels: 3,
      kernel: 'cubic',
    });
    expect([flat.length, new Set(flat)]).toEqual([105, new Set([77])]);
    const line = { data: Uint8Array.of(0, 100), from: { width: 2, height: 1 }, to: { width: 4, height: 1 }, channels: 1 } as const;
    expect([...resample({ ...line, kernel: 'linear' })]).toEqual([0, 25, 75, 100]);
    expect([...resample({ ...line, kernel: 'nearest' })]).toEqual([0, 0, 100, 100]);
  });
});
