/** Makes a Parquet file from the ranges of some columns of a remote one, so that any Parquet reader can read them. */
import { createHash } from 'node:crypto';
import { type FileHandle, open, readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import type { RowGroup } from 'hyparquet';
import { syncFolder } from '../../files/durable-file.ts';
import { fileSize } from '../../format/model-config.ts';
import { fetchSpans, type PlacedSpan } from './fetch-spans.ts';
import { type ColumnsChunk, type ColumnsFooter, columnsFooter, MAGIC, pathOf, writeFooter } from './parquet-footer.ts';
import { chunkSpan, columnOf, columnsOf, type RemoteFile, type Span } from './ranged-source.ts';
import { damaged, openParquet } from './read-parquet.ts';

/** A file, and names of columns. */
interface NamedFile extends RemoteFile {
  readonly names: ReadonlySet<string>;
}

/** The path of the file with some columns of another one; the file need not exist. */
export const columnsPath = (file: NamedFile): string =>
  `${baseOf(file)}.columns-${keyOf(columnsOf(file).filter(name => file.names.has(name)))}.parquet`;

/** Twelve hexadecimal digits that identify a list of column names. */
export const keyOf = (names: readonly string[]): string => createHash('sha256').update(JSON.stringify(names)).digest('hex').slice(0, 12);

const baseOf = ({ source }: RemoteFile): string => source.path.replace(/\.parquet$/, '');

/** Size in bytes of columns in row groups. */
export const columnBytes = (groups: readonly Pick<RowGroup, 'columns'>[], names?: ReadonlySet<string>): number =>
  groups.reduce((all, group) => chunksOf(group, names).reduce((sum, { start, end }) => sum + end - start, all), 0);

/** The spans of columns of a row group, in file order. */
export const chunksOf = ({ columns }: Pick<RowGroup, 'columns'>, names?: ReadonlySet<string>): Span[] =>
  columns
    .filter(chunk => names === undefined || names.has(columnOf(chunk)))
    .map(chunkSpan)
    .sort((a, b) => a.start - b.start);

/**
 * Writes the file with some columns unless it exists. Columns that another such file has are copied from it, and the output of an
 * interrupted call is continued.
 * @param onBytes receives the number of bytes done
 * @throws DataError if the metadata is damaged; errors of the source
 */
export async function writeColumns(file: NamedFile, onBytes: (bytes: number) => void): Promise<string> {
  const target = columnsPath(file);
  if ((await fileSize(target)) !== undefined) return target;
  const footer = footerOf(file);
  const partial = `${target}.partial`;
  const kept = await openKept(file);
  const handle = await open(partial, 'a+');
  try {
    let done = await beginFile(handle, columnBytes(file.footer.metadata.row_groups, file.names));
    const spans = footer.chunks.map(chunk => kept.find(chunk) ?? { from: file.source, ...chunk });
    for await (const bytes of fetchSpans(behind(spans, done))) {
      await handle.appendFile(bytes);
      done += bytes.length;
      onBytes(done);
    }
    await writeFooter(handle, footer.bytes);
    await handle.sync();
  } finally {
    await handle.close();
    await kept.close();
  }
  await rename(partial, target);
  await syncFolder(path.dirname(target));
  return target;
}

/** Starts a file, or truncates it to the column data that it already has. @returns bytes of that data */
async function beginFile(handle: FileHandle, whole: number): Promise<number> {
  const { size } = await handle.stat();
  if (size < MAGIC.length) {
    await handle.truncate(0);
    await handle.appendFile(MAGIC);
    return 0;
  }
  const done = Math.min(whole, size - MAGIC.length);
  await handle.truncate(MAGIC.length + done);
  return done;
}

/** The spans without their first `done` bytes. */
function* behind(spans: readonly PlacedSpan[], done: number): Generator<PlacedSpan> {
  let left = done;
  for (const { from, start, end } of spans) {
    const skipped = Math.min(left, end - start);
    left -= skipped;
    if (start + skipped < end) yield { from, start: start + skipped, end };
  }
}

interface KeptChunks {
  readonly find: (chunk: ColumnsChunk) => PlacedSpan | undefined;
  readonly close: () => Promise<void>;
}

/** Finds chunks in local files with other columns of the same file. Unreadable files are skipped: their columns are fetched. */
async function openKept(file: RemoteFile): Promise<KeptChunks> {
  const folder = path.dirname(file.source.path);
  const begin = `${path.basename(baseOf(file))}.columns-`;
  const names = (await readdir(folder).catch(() => [])).filter(name => name.startsWith(begin) && name.endsWith('.parquet'));
  const handles: FileHandle[] = [];
  const found = new Map<string, PlacedSpan>();
  for (const name of names.slice(0, MAX_KEPT_FILES)) {
    const opened = await openParquet(path.join(folder, name)).catch(() => undefined);
    if (opened === undefined) continue;
    handles.push(opened.handle);
    for (const [group, { columns }] of opened.metadata.row_groups.entries())
      for (const chunk of columns) found.set(placeOf(group, pathOf(chunk)), { from: opened.buffer, ...chunkSpan(chunk) });
  }
  return {
    find: ({ group, column, start, end }) => {
      const span = found.get(placeOf(group, column));
      return span !== undefined && span.end - span.start === end - start ? span : undefined;
    },
    close: async () => {
      for (const handle of handles) await handle.close();
    },
  };
}

/** Maximum number of these files, all of which are open at the same time. */
const MAX_KEPT_FILES = 16;

const placeOf = (group: number, column: string): string => `${group}:${column}`;

function footerOf({ source, footer, names }: NamedFile): ColumnsFooter {
  try {
    return columnsFooter(footer, names, source.byteLength);
  } catch (cause) {
    throw damaged(source.path, cause);
  }
}
