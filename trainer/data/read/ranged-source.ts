/** A remote Parquet file: its metadata, cached next to the path of its copy, and the positions of its row groups. */
import type { AsyncBuffer, ColumnChunk, RowGroup } from 'hyparquet';
import { parquetSchema } from 'hyparquet';
import { writeDurably } from '../../files/durable-file.ts';
import { type RegularFile, readRegularFile } from '../../files/regular-file.ts';
import { openDataFile } from './data-file.ts';
import { FOOTER_END_BYTES, MAX_FOOTER_BYTES } from './parquet-bounds.ts';
import { bufferOf, type ParquetFooter, readFooter } from './read-parquet.ts';

/** A remote file. */
export interface RangedSource extends Pick<AsyncBuffer, 'byteLength' | 'slice'> {
  /** The path of a local copy of the whole file; the copy need not exist. */
  readonly path: string;
  /** Resolves with the path of a local file that begins with at least `bytes` bytes of the remote file. */
  keepBeginning(bytes: number): Promise<string>;
}

/** A source that can only read what is cached. */
export const keptSource = ({ path, byteLength }: Pick<RangedSource, 'path' | 'byteLength'>): RangedSource => {
  const refuse = async (): Promise<never> => {
    throw new Error(`${path} is not here`);
  };
  return { path, byteLength, slice: refuse, keepBeginning: refuse };
};

/** A local file as a source; it is open only while a span is read. @throws DataError for an irregular file */
export async function wholeSource(path: string): Promise<RangedSource> {
  const read = async <T>(work: (file: RegularFile) => T): Promise<Awaited<T>> => {
    const file = await openDataFile(path);
    try {
      return await work(file);
    } finally {
      await file.handle.close();
    }
  };
  return {
    path,
    byteLength: await read(({ stats }) => stats.size),
    slice: (start, end) => read(({ handle, stats }) => bufferOf(handle, stats.size).slice(start, end)),
    keepBeginning: async () => path,
  };
}

/** A range of bytes; `end` is exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface RemoteFile {
  readonly source: RangedSource;
  readonly footer: ParquetFooter;
}

/** Number of bytes that hold the metadata of a file with few row groups; longer metadata takes a second request. */
const TAIL_BYTES = 2 ** 13;

/** Reads the metadata of files. @throws DataError if one is not a Parquet file; errors of a source; of several, that of the first file */
export async function openRemote(sources: readonly RangedSource[]): Promise<RemoteFile[]> {
  const files: RemoteFile[] = [];
  const open = async (source: RangedSource): Promise<RemoteFile> => ({
    source,
    footer: await readFooter(source.path, await withTail(source)),
  });
  for (let at = 0; at < sources.length; at += FILES_AT_ONCE)
    for (const opened of await Promise.allSettled(sources.slice(at, at + FILES_AT_ONCE).map(open))) {
      if (opened.status === 'rejected') throw opened.reason;
      files.push(opened.value);
    }
  return files;
}

/** Number of concurrent requests. */
const FILES_AT_ONCE = 8;

/** The file with its metadata in memory, so that errors of parsing it concern its content, not the source. */
async function withTail(source: RangedSource): Promise<AsyncBuffer> {
  const { byteLength } = source;
  const tail = await tailOf(source);
  const begin = byteLength - tail.byteLength;
  return {
    byteLength,
    slice: (start, end = byteLength) => (start >= begin ? tail.slice(start - begin, end - begin) : source.slice(start, end)),
  };
}

/** Returns the last bytes of a file, which hold its metadata. They are cached, because the metadata of a file never changes. */
async function tailOf(source: RangedSource): Promise<ArrayBuffer> {
  const { byteLength } = source;
  const path = `${source.path}.footer`;
  const kept = await readRegularFile(path, MAX_FOOTER_BYTES + FOOTER_END_BYTES).catch(() => undefined);
  if (kept !== undefined && kept.length === tailBytes(kept)) return new Uint8Array(kept).buffer;
  const fetched = (bytes: number): Promise<ArrayBuffer> => Promise.resolve(source.slice(Math.max(0, byteLength - bytes), byteLength));
  const short = await fetched(TAIL_BYTES);
  const needed = tailBytes(new Uint8Array(short));
  if (needed === 0 || needed > MAX_FOOTER_BYTES || needed > byteLength) return short;
  const tail = needed > short.byteLength ? await fetched(needed) : short.slice(short.byteLength - needed);
  await writeDurably(path, handle => handle.writeFile(new Uint8Array(tail)));
  return tail;
}

/** Number of bytes of the metadata and the file's end, read from the last bytes of the file. */
const tailBytes = (end: Uint8Array): number =>
  end.length < FOOTER_END_BYTES
    ? 0
    : new DataView(end.buffer, end.byteOffset, end.byteLength).getUint32(end.length - FOOTER_END_BYTES, true) + FOOTER_END_BYTES;

/** The names of the columns, in order. */
export const columnsOf = ({ footer: { metadata } }: RemoteFile): string[] =>
  parquetSchema(metadata).children.map(({ element }) => element.name);

/** The name of the column that a chunk belongs to; a column of lists or structs has several chunks. */
export const columnOf = ({ meta_data: column }: ColumnChunk): string => column?.path_in_schema[0] ?? '';

/** The span of a chunk. */
export function chunkSpan({ meta_data: column }: ColumnChunk): Span {
  const start = Number(column?.dictionary_page_offset || column?.data_page_offset || 0);
  return { start, end: start + Number(column?.total_compressed_size ?? 0) };
}

/** The span of a row group. */
export function spanOf({ columns }: Pick<RowGroup, 'columns'>): Span {
  const chunks = columns.map(chunkSpan);
  const [start, end] = [Math.min(...chunks.map(chunk => chunk.start)), Math.max(0, ...chunks.map(chunk => chunk.end))];
  return { start: Number.isFinite(start) ? start : end, end };
}
