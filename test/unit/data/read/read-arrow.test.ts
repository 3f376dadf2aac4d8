/**
 * Tests reading Arrow files that datasets 5.2 and pyarrow 26 wrote: `saved` by `save_to_disk`, the others from the same rows as random-access
 * file, compressed, and with other types. Damaged files become errors, and none is read for long.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DataError } from '../../../../trainer/data/data-error.ts';
import { listDataFiles } from '../../../../trainer/data/read/list-files.ts';
import { readArrow } from '../../../../trainer/data/read/read-arrow.ts';
import { readRecords } from '../../../../trainer/data/read/read-records.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { randomNumbers } from '../../../support/numbers/operation-case.ts';

const fixtures = join(import.meta.dirname, '..', 'fixtures', 'arrow');
const saved = join(fixtures, 'saved');
const savedFile = join(saved, 'data-00000-of-00001.arrow');

const rows = Array.from({ length: 5 }, (_, i) => ({
  messages: [
    { role: 'user', content: `Is ${i} even?` },
    { role: 'assistant', content: i % 2 === 0 ? 'Yes.' : 'No, it is odd: ½' },
  ],
  label: i % 2,
  score: i / 4,
  good: i % 3 === 0,
  note: i % 2 ? null : `n${i}`,
  tags: Array(i % 3).fill('a'),
  blob: Uint8Array.of(i, 255 - i),
}));

async function recordsOf(path: string, limit = Number.POSITIVE_INFINITY) {
  const found = [];
  const settings = { files: await listDataFiles([path]), textSplit: 'file', bytes: true, maxSamples: limit } as const;
  for await (const record of readRecords(settings)) found.push(record);
  return found;
}
const valuesOf = async (path: string, limit?: number) => (await recordsOf(path, limit)).map(({ value }) => value);

describe('an Arrow file', () => {
  it('of save_to_disk has the rows of its data set, without the files next to it', async () => {
    expect(await valuesOf(saved)).toEqual(rows);
    expect((await recordsOf(saved)).map(({ line }) => line)).toEqual([1, 2, 3, 4, 5]);
    expect(await valuesOf(saved, 3)).toEqual(rows.slice(0, 3));
  });

  it('of a part of a data set is found in the folder of the parts', async () => {
    const folder = makeTemporaryFolder();
    mkdirSync(join(folder, 'train'));
    writeFileSync(join(folder, 'dataset_dict.json'), '{"splits": ["train"]}');
    writeFileSync(join(folder, 'dataset_infos.json'), '{"default": {"features": {}}}');
    cpSync(saved, join(folder, 'train'), { recursive: true });
    expect(await valuesOf(folder)).toEqual(rows);
    cpSync(saved, join(folder, 'test'), { recursive: true });
    await expect(recordsOf(folder)).rejects.toThrow('holds train and test, parts of a data set that do not belong together');
  });

  it('with random access, in several batches, has the same rows', async () => {
    expect(await valuesOf(join(fixtures, 'feather.arrow'))).toEqual(rows);
    expect(await valuesOf(join(fixtures, 'feather.arrow'), 3)).toEqual(rows.slice(0, 3));
  });

  it('has text in place of bytes where bytes are not asked for', async () => {
    const found = [];
    for await (const { value } of readArrow(savedFile, { limit: 1, bytes: false })) found.push(value.blob);
    expect(found).toEqual(['\u0000�']);
  });

  it('may have long offsets and begin within its buffers', async () => {
    expect(await valuesOf(join(fixtures, 'large.arrow'))).toEqual([
      { text: null, n: [], at: 1 },
      { text: 'c', n: [3], at: 2 },
    ]);
  });

  it.each([
    ['lz4.arrow', /not a readable Arrow file \(its record batches are compressed\)\. Write it again, without compression/],
    ['dictionary.arrow', /the column "text" has numbers for values that are listed elsewhere, which is not read/],
  ])('that is not read says so: %s', async (name, message) => {
    await expect(recordsOf(join(fixtures, name))).rejects.toThrow(message);
  });
});

describe('a damaged Arrow file', () => {
  const whole = readFileSync(savedFile);
  const folder = makeTemporaryFolder();
  const read = async (bytes: Uint8Array) => {
    const file = join(folder, 'a.arrow');
    writeFileSync(file, bytes);
    return recordsOf(file).catch((error: unknown) => error);
  };

  it('that ends early is an error, except between its parts', async () => {
    for (let size = 0; size < whole.length; size += 61) {
      const found = await read(whole.subarray(0, size));
      if (Array.isArray(found)) expect(found.map(({ value }) => value)).toEqual(size < 1000 ? [] : rows);
      else expect(found).toBeInstanceOf(DataError);
    }
  });

  it('with any byte changed is an error or has as many rows at most', async () => {
    const places = randomNumbers(400, 0, whole.length, 7);
    for (const [i, place] of places.entries()) {
      const bytes = Uint8Array.from(whole);
      bytes[Math.floor(place)] = [0, 0x7f, 0x80, 0xff][i % 4] ?? 0;
      const found = await read(bytes);
      if (Array.isArray(found)) expect(found.length).toBeLessThanOrEqual(rows.length);
      else expect(found).toBeInstanceOf(DataError);
    }
  });
});
