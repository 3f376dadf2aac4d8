/** The samples of a draw from remote Parquet files: only row groups that hold one are read, by byte ranges. */
import { open } from 'node:fs/promises';
import type { AsyncBuffer, FileMetaData, RowGroup } from 'hyparquet';
import { readRegularBlocks } from '../../files/regular-file.ts';
import { required } from '../../narrow.ts';
import { DataError } from '../data-error.ts';
import { type DrawSettings, reservoir } from '../draw.ts';
import type { DataRecord } from '../types.ts';
import { type RangedSource, spanOf, withTail } from './parquet-beginning.ts';
import { MAX_ROW_GROUP_BYTES } from './parquet-bounds.ts';
import { readFooter, readGroup } from './read-parquet.ts';

export interface DrawnGroups {
  /** The names of the columns. */
  readonly columns: readonly string[];
  /** Rows of all files. */
  readonly rows: number;
  /** Bytes of the row groups that have a drawn row, and of all files. */
  readonly bytes: number;
  readonly totalBytes: number;
  readonly groups: readonly DrawnGroup[];
}

interface DrawnGroup {
  readonly source: RangedSource;
  readonly metadata: FileMetaData;
  readonly group: RowGroup;
  /** The place of its first row in the file. */
  readonly start: number;
  /** The places of the drawn rows in the file, in order. */
  readonly drawn: readonly number[];
}

/** Each row takes a random number; beyond that the whole data is read. */
const MAX_ROWS = 100_000_000;
/** Bytes that are asked for at a time. */
const PIECE_BYTES = 2 ** 25;
const READ_BYTES = 2 ** 20;
const NEWLINE = 10;

/**
 * Draws rows as training draws samples, from the metadata of the files alone.
 * @returns undefined where the draw takes all rows, there are too many, or a group says that it has less than none
 * @throws DataError if a file is no Parquet file; what a source throws
 */
export async function drawGroups(
  sources: readonly RangedSource[],
  { count, seed }: DrawSettings & { readonly count: number },
): Promise<DrawnGroups | undefined> {
  const files = await Promise.all(
    sources.map(async source => ({ source, metadata: (await readFooter(source.path, await withTail(source))).metadata })),
  );
  // As the reader of whole files counts: the number of all rows in a footer may be another.
  const counts = files.flatMap(({ metadata }) => metadata.row_groups.map(group => Number(group.num_rows)));
  const rows = counts.reduce((sum, each) => sum + each, 0);
  if (rows <= count || rows > MAX_ROWS || counts.some(each => each < 0)) return undefined;
  const draw = reservoir<number>({ count, seed });
  for (let row = 0; row < rows; row++) draw.add(row);
  const drawn = draw.drawn();
  const groups: DrawnGroup[] = [];
  let [first, next] = [0, 0];
  for (const { source, metadata } of files) {
    const before = first;
    let start = 0;
    for (const group of metadata.row_groups) {
      const end = first + Number(group.num_rows);
      const begin = next;
      while (next < drawn.length && (drawn[next] ?? end) < end) next++;
      const own = drawn.slice(begin, next).map(row => row - before);
      if (own.length > 0) groups.push({ source, metadata, group, start, drawn: own });
      start += Number(group.num_rows);
      first = end;
    }
  }
  const bytes = groups.reduce((sum, { group }) => sum + spanOf(group).end - spanOf(group).start, 0);
  const columns = [...new Set(files.flatMap(({ metadata }) => topColumns(metadata)))];
  return { columns, rows, bytes, totalBytes: sources.reduce((sum, { byteLength }) => sum + byteLength, 0), groups };
}

const topColumns = ({ row_groups: groups }: FileMetaData): readonly string[] =>
  (groups[0]?.columns ?? []).flatMap(({ meta_data: column }) => column?.path_in_schema[0] ?? []);

/**
 * Appends the drawn rows to a file of JSON Lines, group by group. What an earlier call has written is kept, and the others are added.
 * @param onBytes receives the bytes of the groups that are done
 * @throws DataError where a group is damaged; what a source throws
 */
export async function appendDrawn(file: string, { groups }: DrawnGroups, onBytes: (bytes: number) => void): Promise<void> {
  const handle = await open(file, 'a+');
  try {
    const written = await wholeLines(file);
    await handle.truncate(written.bytes);
    let [rows, bytes] = [0, 0];
    for (const drawn of groups) {
      const known = Math.min(drawn.drawn.length, Math.max(0, written.lines - rows));
      if (known < drawn.drawn.length) {
        const records = await rowsOf(drawn);
        const lines = drawn.drawn.slice(known).map(place => `${lineOf(required(records[place - drawn.start], 'a drawn row').value)}\n`);
        await handle.appendFile(lines.join(''));
        await handle.sync();
      }
      rows += drawn.drawn.length;
      const { start, end } = spanOf(drawn.group);
      bytes += end - start;
      onBytes(bytes);
    }
  } finally {
    await handle.close();
  }
}

async function rowsOf({ source, metadata, group, start }: DrawnGroup) {
  const { path: file } = source;
  const span = spanOf(group);
  if (!(span.start >= 0 && span.end <= source.byteLength && span.end - span.start <= MAX_ROW_GROUP_BYTES))
    throw new DataError({
      file,
      line: start + 1,
      problem: `a row group at bytes ${span.start} to ${span.end}, in a file of ${source.byteLength}`,
      advice: 'The file is damaged, or has row groups of more than a gigabyte',
    });
  const held = new Uint8Array(span.end - span.start);
  for (let at = span.start; at < span.end; at += PIECE_BYTES)
    held.set(new Uint8Array(await source.slice(at, Math.min(span.end, at + PIECE_BYTES))), at - span.start);
  const buffer: AsyncBuffer = {
    byteLength: source.byteLength,
    slice: (from, to = source.byteLength) =>
      from >= span.start && to <= span.end ? held.slice(from - span.start, to - span.start).buffer : source.slice(from, to),
  };
  return readGroup({ file, buffer, metadata, bytes: false }, group, { start, end: start + Number(group.num_rows) });
}

/** Columns without a value stay columns. */
const lineOf = (value: DataRecord['value']): string => JSON.stringify(value, (_, held: unknown) => held ?? null);

/** Lines that are complete, and their bytes. */
async function wholeLines(file: string): Promise<{ readonly lines: number; readonly bytes: number }> {
  let [lines, bytes, before] = [0, 0, 0];
  for await (const block of readRegularBlocks(file, READ_BYTES)) {
    for (let at = block.indexOf(NEWLINE); at >= 0; at = block.indexOf(NEWLINE, at + 1)) {
      lines++;
      bytes = before + at + 1;
    }
    before += block.length;
  }
  return { lines, bytes };
}
