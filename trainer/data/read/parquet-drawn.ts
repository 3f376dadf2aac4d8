/** Fetches the samples of a draw from remote Parquet files: only the columns that are read, of row groups with a drawn row. */
import { open } from 'node:fs/promises';
import type { RowGroup } from 'hyparquet';
import { readRegularBlocks } from '../../files/regular-file.ts';
import { required } from '../../narrow.ts';
import { DataError } from '../data-error.ts';
import { type DrawSettings, reservoir } from '../draw.ts';
import type { DataRecord } from '../types.ts';
import { holdSpans, joinNear } from './fetch-spans.ts';
import { listDataFiles } from './list-files.ts';
import { MAX_ROW_GROUP_BYTES } from './parquet-bounds.ts';
import { chunksOf, columnBytes } from './parquet-columns.ts';
import type { RemoteFile } from './ranged-source.ts';
import { readGroup } from './read-parquet.ts';
import { readRecords } from './read-records.ts';

interface DrawnGroups {
  /** Number of rows of all files. */
  readonly rows: number;
  readonly groups: readonly DrawnGroup[];
}

export interface DrawnGroup {
  readonly file: RemoteFile;
  readonly group: RowGroup;
  /** Index of its first row in the file. */
  readonly start: number;
  /** Indices of the drawn rows in the file, ascending. */
  readonly drawn: readonly number[];
}

/** Maximum number of rows, each of which takes a random number; larger data is read whole. */
const MAX_ROWS = 100_000_000;
const READ_BYTES = 2 ** 20;
const NEWLINE = 10;

/**
 * Draws rows from the metadata of the files alone, as training draws samples.
 * @returns undefined if the draw takes all rows, there are too many, or a group declares a negative number of rows
 */
export function drawGroups(
  files: readonly RemoteFile[],
  { count, seed }: DrawSettings & { readonly count: number },
): DrawnGroups | undefined {
  const rows = rowCount(files);
  if (rows <= count || rows > MAX_ROWS || countsOf(files).some(each => each < 0)) return undefined;
  const draw = reservoir<number>({ count, seed });
  for (let row = 0; row < rows; row++) draw.add(row);
  const drawn = draw.drawn();
  const groups: DrawnGroup[] = [];
  let [first, next] = [0, 0];
  for (const file of files) {
    const before = first;
    let start = 0;
    for (const group of groupsOf(file)) {
      const end = first + Number(group.num_rows);
      const begin = next;
      while (next < drawn.length && (drawn[next] ?? end) < end) next++;
      const own = drawn.slice(begin, next).map(row => row - before);
      if (own.length > 0) groups.push({ file, group, start, drawn: own });
      start += Number(group.num_rows);
      first = end;
    }
  }
  return { rows, groups };
}

/** The number of rows as the reader counts them: the total in a footer may differ. */
export const rowCount = (files: readonly RemoteFile[]): number => countsOf(files).reduce((sum, each) => sum + each, 0);

const countsOf = (files: readonly RemoteFile[]): number[] => files.flatMap(file => groupsOf(file).map(group => Number(group.num_rows)));

const groupsOf = ({ footer }: RemoteFile): readonly RowGroup[] => footer.metadata.row_groups;

export interface AppendDrawn {
  /** The columns of a sample, in order. */
  readonly names: readonly string[];
  /** A file of the same draw with some of these columns, which are not fetched again. */
  readonly known?: string | undefined;
  /** Number of rows after which the call may stop. */
  readonly rows?: number | undefined;
  /** Receives the number of bytes of the finished groups. */
  readonly onBytes?: (bytes: number) => void;
}

/**
 * Appends the drawn rows to a file of JSON Lines, group by group. Rows that an earlier call has written are kept.
 * @returns the number of rows in the file
 * @throws DataError if a group is damaged; errors of a source
 */
export async function appendDrawn(
  file: string,
  groups: readonly DrawnGroup[],
  { names, known, rows: most, onBytes }: AppendDrawn,
): Promise<number> {
  const handle = await open(file, 'a+');
  const knownRows = known === undefined ? undefined : readRecords({ files: await listDataFiles([known]), textSplit: 'file' });
  const nextKnown = async (): Promise<DataRecord['value']> => {
    const next = await knownRows?.next();
    return next === undefined || next.done === true ? {} : next.value.value;
  };
  try {
    const written = await wholeLines(file);
    await handle.truncate(written.bytes);
    let [rows, bytes] = [0, 0];
    for (const drawn of groups) {
      if (rows >= (most ?? Number.POSITIVE_INFINITY)) break;
      const others: DataRecord['value'][] = [];
      for (let i = 0; i < drawn.drawn.length; i++) others.push(await nextKnown());
      const done = Math.min(drawn.drawn.length, Math.max(0, written.lines - rows));
      if (done < drawn.drawn.length) {
        const missing = names.filter(name => !others.every(other => Object.hasOwn(other, name)));
        const records = missing.length === 0 ? [] : await rowsOf(drawn, missing);
        const lines = drawn.drawn.slice(done).map((place, i) => {
          const fetched = missing.length === 0 ? {} : required(records[place - drawn.start], 'a drawn row').value;
          return `${lineOf(names, { ...others[done + i], ...fetched })}\n`;
        });
        await handle.appendFile(lines.join(''));
        await handle.sync();
      }
      rows += drawn.drawn.length;
      bytes += columnBytes([drawn.group], new Set(names));
      onBytes?.(bytes);
    }
    return Math.max(rows, written.lines);
  } finally {
    await handle.close();
    await knownRows?.return(undefined);
  }
}

async function rowsOf({ file: { source, footer }, group, start }: DrawnGroup, names: readonly string[]): Promise<DataRecord[]> {
  const { path: file, byteLength } = source;
  const spans = joinNear(chunksOf(group, new Set(names)));
  const wrong = spans.find(span => !(span.start >= 0 && span.end >= span.start && span.end <= byteLength));
  const bytes = spans.reduce((sum, span) => sum + span.end - span.start, 0);
  if (wrong !== undefined || bytes > MAX_ROW_GROUP_BYTES)
    throw new DataError({
      file,
      line: start + 1,
      problem: wrong ? `a row group at bytes ${wrong.start} to ${wrong.end}, in a file of ${byteLength}` : `a row group of ${bytes} bytes`,
      advice: 'The file is damaged, or has row groups of more than a gigabyte',
    });
  const { metadata } = footer;
  const buffer = await holdSpans(source, spans);
  return readGroup({ file, buffer, metadata, bytes: false, columns: names }, group, { start, end: start + Number(group.num_rows) });
}

/** Writes a missing value as null, so that its column stays. */
const lineOf = (names: readonly string[], value: DataRecord['value']): string =>
  JSON.stringify(Object.fromEntries(names.map(name => [name, value[name]])), (_, held: unknown) => held ?? null);

/** The number of samples in a file of a draw. */
export const linesOf = async (file: string): Promise<number> => (await wholeLines(file)).lines;

/** The number of complete lines, and their bytes. */
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
