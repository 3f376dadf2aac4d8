/** Tests some columns of a Parquet file as a separate file: the same values, from the bytes of only these columns. */
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { columnBytes, columnsPath, writeColumns } from '../../../../trainer/data/read/parquet-columns.ts';
import { columnsOf, openRemote, type RangedSource } from '../../../../trainer/data/read/ranged-source.ts';
import { readParquet } from '../../../../trainer/data/read/read-parquet.ts';
import { elementAt } from '../../../../trainer/narrow.ts';
import { parquetFile } from '../../../support/files/parquet-file.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';

const fixtures = join(import.meta.dirname, '..', 'fixtures');

async function rowsOf(file: string): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  for await (const { value } of readParquet(file, { limit: Number.POSITIVE_INFINITY, bytes: true })) rows.push({ ...value });
  return rows;
}

const only = (names: readonly string[], rows: readonly Record<string, unknown>[]) =>
  rows.map(row => Object.fromEntries(names.map(name => [name, row[name]])));

/** Opens a file as if it were remote. */
function far(content: Buffer, folder = makeTemporaryFolder()) {
  const path = join(folder, '0000.parquet');
  const ranges: [number, number][] = [];
  let left = Number.POSITIVE_INFINITY;
  const source: RangedSource = {
    path,
    byteLength: content.length,
    slice: async (start, end = content.length) => {
      if (left-- <= 0) throw new Error('the line is cut');
      ranges.push([start, end]);
      return new Uint8Array(content.subarray(start, end)).buffer;
    },
    keepBeginning: async () => path,
  };
  const open = async (names?: readonly string[]) => {
    const file = elementAt(await openRemote([source]), 0);
    return { ...file, names: new Set(names ?? columnsOf(file)) };
  };
  const fetched = () => ranges.reduce((sum, [start, end]) => sum + end - start, 0);
  return { folder, open, fetched, ranges, cutAfter: (requests: number) => (left = requests) };
}

describe.each(readdirSync(fixtures).filter(name => name.endsWith('.parquet')))('%s', name => {
  test('each column alone, and all together', async () => {
    const whole = join(fixtures, name);
    const content = readFileSync(whole);
    const rows = await rowsOf(whole);
    const all = columnsOf(await far(content).open());
    expect(all.length).toBeGreaterThan(0);
    for (const names of [...all.map(each => [each]), all])
      expect(await rowsOf(await writeColumns(await far(content).open(names), () => {}))).toEqual(only(names, rows));
  });
});

const text = (length: number, seed: number): string => String.fromCharCode(97 + (seed % 26)).repeat(length);
const column = (length: number) => Array.from({ length: 40 }, (_, i) => text(length, i));
const WIDE = parquetFile({ text: column(300), picture: column(20_000), label: column(3), note: column(100) }, 10);

test('only the bytes of the requested columns are fetched, near ones in one request', async () => {
  const { open, fetched, ranges } = far(WIDE);
  const file = await open(['text', 'label', 'note']);
  const [before, requests] = [fetched(), ranges.length];
  const bytes: number[] = [];
  const path = await writeColumns(file, done => bytes.push(done));
  const groups = file.footer.metadata.row_groups;
  expect(fetched() - before).toBe(columnBytes(groups, file.names));
  // The label and the note of a group are followed by the text of the next one.
  expect(ranges.length - requests).toBe(groups.length + 1);
  expect(bytes.at(-1)).toBe(columnBytes(groups, file.names));
  expect(await rowsOf(path)).toHaveLength(40);
  const known = fetched();
  expect(await writeColumns(await open(['text', 'label', 'note']), () => {})).toBe(path);
  expect(fetched()).toBe(known);
});

test('a file with another column fetches that one alone', async () => {
  const { open, fetched } = far(WIDE);
  const first = await open(['text']);
  await writeColumns(first, () => {});
  const second = await open(['text', 'note']);
  const before = fetched();
  const path = await writeColumns(second, () => {});
  expect(fetched() - before).toBe(columnBytes(second.footer.metadata.row_groups, new Set(['note'])));
  expect(await rowsOf(path)).toEqual(Array.from({ length: 40 }, (_, i) => ({ text: text(300, i), note: text(100, i) })));
  // A damaged column file is not used.
  writeFileSync(columnsPath(first), 'PAR1');
  const third = await open(['text', 'label']);
  expect(await rowsOf(await writeColumns(third, () => {}))).toHaveLength(40);
});

test.each([1, 3, 4, 5, 1000, 4011])('an interrupted fetch continues, from %i bytes too', async kept => {
  const whole = far(WIDE);
  const expected = readFileSync(await writeColumns(await whole.open(['text', 'note']), () => {}));
  const { open, cutAfter, fetched } = far(WIDE);
  const file = await open(['text', 'note']);
  cutAfter(2);
  await expect(writeColumns(file, () => {})).rejects.toThrow('the line is cut');
  const partial = `${columnsPath(file)}.partial`;
  expect(readFileSync(partial).length).toBeGreaterThan(kept);
  truncateSync(partial, kept);
  cutAfter(Number.POSITIVE_INFINITY);
  const before = fetched();
  expect(readFileSync(await writeColumns(file, () => {})).equals(expected)).toBe(true);
  expect(fetched() - before).toBe(columnBytes(file.footer.metadata.row_groups, file.names) - Math.max(0, kept - 4));
});

test('metadata is fetched once', async () => {
  const folder = makeTemporaryFolder();
  await far(WIDE, folder).open();
  const { open, fetched } = far(WIDE, folder);
  expect((await open()).names.size).toBe(4);
  expect(fetched()).toBe(0);
});

test('places outside of the file are refused', async () => {
  const { open } = far(WIDE);
  const file = await open(['text']);
  const short = { ...file, source: { ...file.source, byteLength: 2000 } };
  await expect(writeColumns(short, () => {})).rejects.toThrow(/places the column "text" at bytes/);
});
