/** Tests data files that claim more than they contain: they are refused before anything of that size is allocated. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { checkImages } from '../../../trainer/data/image/check-images.ts';
import { listImages } from '../../../trainer/data/image/image-samples.ts';
import { loadImage } from '../../../trainer/data/image/load-image.ts';
import { readRecords } from '../../../trainer/data/read/read-records.ts';
import { dataExtensions } from '../../../trainer/protocol/data-extensions.ts';
import { createRandom } from '../../../trainer/random.ts';
import { listOf, tinyParquet } from '../../support/files/tiny-parquet.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-sizes-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function read(name: string, bytes: Uint8Array | string): Promise<unknown[]> {
  const file = join(folder, name);
  writeFileSync(file, bytes);
  const extension = dataExtensions.find(known => name.endsWith(known)) ?? '.txt';
  const found: unknown[] = [];
  for await (const { value } of readRecords({ files: [{ file, extension, bytes: statSync(file).size }], textSplit: 'file' }))
    found.push(value);
  return found;
}

describe('Parquet', () => {
  test('a file with true sizes is read', async () => {
    expect(await read('true.parquet', tinyParquet())).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
  });

  /** Returns a frame whose header sets a window, and one block that repeats a zero. */
  const frame = (descriptor: number, ...rest: number[]): number[] => [0x28, 0xb5, 0x2f, 0xfd, descriptor, ...rest];
  const repeated = (size: number, isLast: boolean): number[] => {
    const header = size * 8 + 2 + Number(isLast);
    return [header & 255, (header >> 8) & 255, header >> 16, 0];
  };
  test.each<[string, Parameters<typeof tinyParquet>[0], string]>([
    ['a page of two gigabytes', { pageBytes: 2 ** 31 - 1, codec: 2 }, 'unpacks to 2147483647 bytes; at most'],
    ['a page of fewer bytes than none', { pageBytes: -1, codec: 2 }, 'unpacks to -1 bytes'],
    ['a page of a billion values', { pageValues: 1_000_000_000, rows: 9_000_000 }, 'has 1000000000 values; at most'],
    ['a billion rows', { rows: 1_000_000_000 }, 'a row group of 1000000000 rows'],
    ['a window of a gigabyte', { codec: 6, page: frame(0, 0xa0, ...repeated(8, true)) }, 'needs a window of 1073741824 bytes'],
    ['an unpacked size of 2^40', { codec: 6, page: frame(0xe0, 0, 0, 0, 0, 0, 1, 0, 0, ...repeated(8, true)) }, 'unpacks to 1099511627776'],
    [
      'a block repeated without end',
      {
        codec: 6,
        page: frame(
          0,
          0x38,
          ...Array(3000)
            .fill(repeated(2 ** 17, false))
            .flat(),
        ),
      },
      'may unpack',
    ],
    ['a list of a billion in its metadata', { footer: [0x29, ...listOf(12, 1_000_000_000, [0])] }, 'a list of 1000000000 values in'],
    ['lists in lists in its metadata', { footer: [0x29, ...Array(40).fill([0x19]).flat(), 0, 0] }, 'nests more than 16 levels'],
  ])('%s', async (_, lies, message) => {
    await expect(read('lying.parquet', tinyParquet(lies))).rejects.toThrow(message);
  });

  test('metadata larger than the file is refused', async () => {
    const bytes = tinyParquet();
    bytes.writeUInt32LE(2 ** 31, bytes.length - 8);
    await expect(read('long.parquet', bytes)).rejects.toThrow('its metadata has 2147483648 bytes, but the file has only');
  });
});

describe('CSV', () => {
  test('a quoted field that does not end', async () => {
    await expect(read('field.csv', `text\n"${'a'.repeat(65 * 2 ** 20)}`)).rejects.toThrow('a sample of more than 64 million characters');
  });

  test('a line of millions of empty fields is refused', async () => {
    await expect(read('commas.csv', `text\n${','.repeat(5_000_000)}\n`)).rejects.toThrow('a line of more than 4000000 fields');
  });

  test('a header of too many columns is refused', async () => {
    const names = Array.from({ length: 100_001 }, (_, i) => `c${i}`);
    await expect(read('columns.csv', `${names}\n`)).rejects.toThrow('100001 columns in the header; at most 100000 are read');
  });
});

test('a line of JSON that does not end', async () => {
  await expect(read('line.jsonl', '['.repeat(65 * 2 ** 20))).rejects.toThrow('a line of more than 64 million characters');
});

describe('images', () => {
  const u32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
  const chunk = (name: string, data: readonly number[]): number[] => {
    const body = [...Buffer.from(name), ...data];
    return [...u32(data.length), ...body, ...u32(crc32(Buffer.from(body)))];
  };
  /** Returns a header, no pixels, and an ending. */
  const png = (width: number, height: number): Buffer =>
    Buffer.from([
      ...[0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
      ...chunk('IHDR', [...u32(width), ...u32(height), 8, 2, 0, 0, 0]),
      ...chunk('IDAT', []),
      ...chunk('IEND', []),
    ]);
  const jpeg = (width: number, height: number): Buffer =>
    Buffer.from([
      ...[0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, height >> 8, height & 255, width >> 8, width & 255, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0],
      ...[0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0, 0xff, 0xd9],
    ]);
  const preprocessing = {
    resize: { kind: 'shortest', edge: 256 },
    height: 224,
    width: 224,
    kernel: 'linear',
    rescale: 1,
    mean: [0],
    std: [1],
    source: 'test',
  } as const;
  const sampleOf = (name: string, bytes: Uint8Array) => {
    const file = join(folder, name);
    writeFileSync(file, bytes);
    const read = async () => ({ kind: 'encoded', bytes }) as const;
    return { file, label: 'a', read, glance: async () => ({ source: file, tail: bytes.subarray(-12), content: 0 }) };
  };
  const load = (bytes: Uint8Array) =>
    loadImage({
      sample: sampleOf('image', bytes),
      preprocessing,
      channels: 3,
      augment: [],
      random: createRandom(1),
      into: new Float32Array(3 * 224 ** 2),
    });

  test.each([
    ['PNG', png(65_535, 65_535)],
    ['JPEG', jpeg(65_535, 65_535)],
    ['PNG of 2^31 columns', png(2 ** 31 - 1, 1)],
  ])('%s of more pixels than are decoded, in the check and when its turn comes', async (name, bytes) => {
    const sample = sampleOf(name, bytes);
    const { bad } = await checkImages([sample], () => undefined);
    expect(bad.map(({ message }) => message)).toEqual([expect.stringMatching(/the image does not decode: .*([Pp]ixel|corrupt header)/)]);
    await expect(load(bytes)).rejects.toThrow('the image does not decode');
  });

  test('an image of one row is refused, because it would be enlarged to a gigabyte', async () => {
    await expect(load(png(65_535, 1))).rejects.toThrow('it is enlarged to 16776960 × 256 pixels; at most');
  });

  test('a file in place of a folder of images', async () => {
    const file = join(folder, 'data_batch_1.bin');
    writeFileSync(file, Buffer.alloc(100));
    await expect(listImages({ paths: [file], columns: {}, labels: [], seed: 1 })).rejects.toThrow('not a whole number of CIFAR records');
  });
});
