/** Reads records of Parquet files, one row group in memory at a time. */
import type { FileHandle } from 'node:fs/promises';
import type { AsyncBuffer, FileMetaData, RowGroup, SchemaTree } from 'hyparquet';
import { parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import { DataError } from '../data-error.ts';
import type { DataRecord } from '../types.ts';
import { damagedFile, openDataFile } from './data-file.ts';
import {
  boundedCompressors,
  checkedFooter,
  checkPages,
  FOOTER_END_BYTES,
  MAX_ROW_GROUP_BYTES,
  MAX_ROW_GROUP_ROWS,
} from './parquet-bounds.ts';

/** Maximum size of a read. The system refuses reads of 2^31 bytes; no column chunk of a permitted row group is near this. */
const MAX_SLICE_BYTES = 2 ** 30;
/** The size of the magic at both ends and of the footer's length. */
const MIN_PARQUET_BYTES = 12;

export interface ParquetReading {
  readonly limit: number;
  readonly bytes: boolean;
  /** Receives the fraction of the rows that was read. */
  readonly onShare?: (share: number) => void;
}

/**
 * Yields at most `limit` rows in order, with `line` counting from 1. 64-bit integers become numbers.
 * @param bytes whether binary columns that are not declared as text stay bytes; otherwise, they are read as text
 * @throws DataError for a damaged file
 */
export async function* readParquet(file: string, { limit, bytes, onShare }: ParquetReading): AsyncGenerator<DataRecord> {
  const opened = await openParquet(file);
  try {
    yield* readGroups(file, opened, { limit, bytes, onShare });
  } finally {
    await opened.handle.close();
  }
}

/** Opens a file and reads its metadata. The caller closes the handle. @throws DataError for a damaged file */
export async function openParquet(file: string): Promise<{ handle: FileHandle; buffer: AsyncBuffer; metadata: FileMetaData }> {
  const { handle, stats } = await openDataFile(file);
  try {
    const buffer = bufferOf(handle, stats.size);
    return { handle, buffer, metadata: (await readFooter(file, buffer)).metadata };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Reads by position from a file that was opened and checked. */
export function bufferOf(handle: FileHandle, size: number): AsyncBuffer {
  const read = async (start: number, end: number): Promise<ArrayBuffer> => {
    const length = end - start;
    if (!(start >= 0 && length >= 0 && end <= size && length <= MAX_SLICE_BYTES))
      throw new Error(
        `it places ${length} bytes at byte ${start}, but has ${size} bytes, of which at most ${MAX_SLICE_BYTES} are read at once`,
      );
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await handle.read(bytes, done, length - done, start + done);
      if (bytesRead === 0) throw new Error('it was cut short while it was being read');
      done += bytesRead;
    }
    return bytes.buffer;
  };
  return {
    byteLength: size,
    slice(start, end = size) {
      const bytes = read(start, end);
      // The library reads ahead, and does not await all reads if one part fails: this must not end the process.
      bytes.catch(() => undefined);
      return bytes;
    },
  };
}

async function* readGroups(
  file: string,
  { buffer, metadata }: Pick<OpenedParquet, 'buffer' | 'metadata'>,
  { limit, bytes, onShare }: ParquetReading,
): AsyncGenerator<DataRecord> {
  let start = 0;
  for (const group of metadata.row_groups) {
    const end = Math.min(start + Number(group.num_rows), limit);
    if (end <= start && Number(group.num_rows) >= 0) return;
    yield* (await readGroup({ file, buffer, metadata, bytes }, group, { start, end })).values();
    start += Number(group.num_rows);
    onShare?.(start / Math.max(1, Number(metadata.num_rows)));
  }
}

interface OpenedParquet {
  readonly file: string;
  readonly buffer: AsyncBuffer;
  readonly metadata: FileMetaData;
  readonly bytes: boolean;
  /** The columns to read; if left out, all. */
  readonly columns?: readonly string[];
}

/** The rows of a row group, by their indices in the file. @throws DataError if the row group is too large or damaged */
export async function readGroup(
  { file, buffer, metadata, bytes, columns }: OpenedParquet,
  group: RowGroup,
  { start, end }: { readonly start: number; readonly end: number },
): Promise<DataRecord[]> {
  const rows = Number(group.num_rows);
  const read = columns === undefined ? group : withColumns(group, columns);
  if (Number(read.total_byte_size) > MAX_ROW_GROUP_BYTES || rows > MAX_ROW_GROUP_ROWS || rows < 0) {
    throw new DataError({
      file,
      line: start + 1,
      problem: `a row group of ${rows} rows and ${read.total_byte_size} bytes, expected at most ${MAX_ROW_GROUP_ROWS} rows and ${MAX_ROW_GROUP_BYTES} bytes`,
      advice: 'Write the file with smaller row groups',
    });
  }
  const decode = async () => {
    await checkPages(buffer, read);
    const range = { rowStart: start, rowEnd: end, ...(columns && { columns: [...columns] }) };
    return parquetReadObjects({ file: buffer, metadata, compressors: boundedCompressors, utf8: !bytes, ...range });
  };
  const values = await decode().catch(cause => {
    throw damaged(file, cause, start + 1);
  });
  return values.map((value, index) => ({ file, line: start + index + 1, value: plainRecord(value) }));
}

function withColumns(group: RowGroup, names: readonly string[]): RowGroup {
  const columns = group.columns.filter(({ meta_data: column }) => names.includes(column?.path_in_schema[0] ?? ''));
  const bytes = columns.reduce((sum, { meta_data: column }) => sum + (column?.total_uncompressed_size ?? 0n), 0n);
  return { ...group, columns, total_byte_size: bytes };
}

export interface ParquetFooter {
  readonly metadata: FileMetaData;
  /** The encoded metadata. */
  readonly bytes: Uint8Array;
}

/** @throws DataError for a damaged file */
export async function readFooter(file: string, buffer: AsyncBuffer): Promise<ParquetFooter> {
  if (buffer.byteLength < MIN_PARQUET_BYTES) throw damaged(file, new Error(`only ${buffer.byteLength} bytes`));
  try {
    const bytes = await checkedFooter(buffer);
    const metadata = await parquetMetadataAsync(buffer, { initialFetchSize: bytes.length + FOOTER_END_BYTES });
    checkColumns(metadata);
    return { metadata, bytes };
  } catch (cause) {
    throw damaged(file, cause);
  }
}

/**
 * Refuses columns that the schema lacks. The library reads all column chunks at once but awaits only those in the schema, so the error of
 * another chunk would be unhandled and end the process.
 */
function checkColumns(metadata: FileMetaData): void {
  const leaves = new Set(leavesOf(parquetSchema(metadata)));
  for (const { columns } of metadata.row_groups) {
    const names = columns.map(({ meta_data: column }) => column?.path_in_schema.join('.') ?? '');
    const wrong = names.find((name, place) => !leaves.has(name) || names.indexOf(name) !== place);
    if (wrong !== undefined) throw new Error(`the column "${wrong}" of a row group is not in the schema, or is there twice`);
  }
}

const leavesOf = ({ children, path }: SchemaTree): string[] => (children.length > 0 ? children.flatMap(leavesOf) : [path.join('.')]);

/** The error for a file that cannot be read as Parquet. */
export const damaged = (file: string, cause: unknown, line?: number): DataError => damagedFile('Parquet', { file, cause, line });

/** Converts BigInt values to numbers, recursively: labels are 64-bit integers in most files. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object' || value instanceof Date || ArrayBuffer.isView(value)) return value;
  return plainRecord(value);
}

const plainRecord = (value: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plain(entry)]));
