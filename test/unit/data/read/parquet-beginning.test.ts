/** Tests the first row groups of a Parquet file as a separate file: the same rows, from few of the bytes. */
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeBeginning } from '../../../../trainer/data/read/parquet-beginning.ts';
import type { RangedSource } from '../../../../trainer/data/read/ranged-source.ts';
import { readParquet } from '../../../../trainer/data/read/read-parquet.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';

const fixtures = join(import.meta.dirname, '..', 'fixtures');

async function rowsOf(file: string): Promise<unknown[]> {
  const rows: unknown[] = [];
  for await (const { value } of readParquet(file, { limit: Number.POSITIVE_INFINITY, bytes: false })) rows.push(value);
  return rows;
}

/** Opens a file on disk as if it were remote. */
function sourceOf(name: string, content = readFileSync(join(fixtures, name))) {
  const path = join(makeTemporaryFolder(), '0000.parquet');
  const ranges: [number, number][] = [];
  const kept: number[] = [];
  const source: RangedSource = {
    path,
    byteLength: content.length,
    slice: async (start, end = content.length) => {
      ranges.push([start, end]);
      return new Uint8Array(content.subarray(start, end)).buffer;
    },
    keepBeginning: async bytes => {
      kept.push(bytes);
      copyFileSync(join(fixtures, name), `${path}.beginning`);
      return `${path}.beginning`;
    },
  };
  return { source, ranges, kept, size: content.length };
}

describe.each([
  ['groups.parquet', 3, 60],
  ['labeled.snappy.parquet', 4, 10],
])('%s', (name, rowsOfGroup, all) => {
  test.each([1, rowsOfGroup, rowsOfGroup + 1, all - 1, all, 10 * all])('%i rows', async wanted => {
    const { source } = sourceOf(name);
    const { path, rows, isWhole } = await writeBeginning(source, wanted);
    const expected = Math.min(all, Math.ceil(wanted / rowsOfGroup) * rowsOfGroup);
    expect([rows, isWhole]).toEqual([expected, expected === all]);
    expect(await rowsOf(path)).toEqual((await rowsOf(join(fixtures, name))).slice(0, expected));
  });
});

test('few bytes are read: the metadata, and the row groups', async () => {
  const { source, ranges, kept, size } = sourceOf('groups.parquet');
  await writeBeginning(source, 4);
  const read = ranges.reduce((sum, [start, end]) => sum + end - start, 0) + (kept[0] ?? Number.NaN);
  expect(read).toBeLessThan(size / 3);
  expect(kept).toHaveLength(1);
});

test.each([
  ['text', Buffer.from('this is no Parquet file, but it is long enough to be one')],
  ['nothing', Buffer.alloc(0)],
  ['metadata that is longer than the file', Buffer.from('PAR1\xff\xff\xff\x7fPAR1', 'latin1')],
])('%s is refused', async (_, content) => {
  await expect(writeBeginning(sourceOf('groups.parquet', content).source, 1)).rejects.toThrow('not a readable Parquet file');
});
