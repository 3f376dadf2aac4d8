/** The first row groups of a Parquet file as a file of its own, made from the ranges that hold them: whatever reads Parquet reads it. */
import { copyFile, open, rename, truncate } from 'node:fs/promises';
import type { AsyncBuffer, RowGroup } from 'hyparquet';
import { temporaryName } from '../../files/durable-file.ts';
import { FOOTER_END_BYTES, MAX_FOOTER_BYTES } from './parquet-bounds.ts';
import { trimmedList } from './parquet-thrift.ts';
import { readFooter } from './read-parquet.ts';

/** A file that is somewhere else. */
export interface RangedSource extends Pick<AsyncBuffer, 'byteLength' | 'slice'> {
  /** The path of a copy of the whole file. */
  readonly path: string;
  /** Resolves with the path of a file that begins with so many bytes of it. */
  keepBeginning(bytes: number): Promise<string>;
}

export interface Beginning {
  readonly path: string;
  readonly rows: number;
  /** Whether that is all of it. */
  readonly isWhole: boolean;
}

/** The list of row groups in a file's metadata (FileMetaData of parquet.thrift). */
const ROW_GROUPS = 4;
const MAGIC = 'PAR1';

/**
 * Writes a file with the first row groups, as many as hold `rows` rows, or all.
 * @throws DataError if it is no Parquet file; what the source throws
 */
export async function writeBeginning(source: RangedSource, rows: number): Promise<Beginning> {
  const file = await withTail(source);
  const {
    metadata: { row_groups: all },
    bytes: whole,
  } = await readFooter(source.path, file);
  let [count, held] = [0, 0];
  while (count < all.length && (count === 0 || held < rows)) held += Number(all[count++]?.num_rows ?? 0);
  const groups = all.slice(0, count);
  const bytes = Math.max(MAGIC.length, ...groups.map(group => spanOf(group).end));
  const begun = await source.keepBeginning(bytes);
  const footer = trimmedList(whole, ROW_GROUPS, count);
  const path = source.path.replace(/\.parquet$/, `.first-${count}.parquet`);
  const temporary = temporaryName(path);
  await copyFile(begun, temporary);
  await truncate(temporary, bytes);
  const handle = await open(temporary, 'a');
  try {
    const end = Buffer.alloc(FOOTER_END_BYTES, MAGIC, 'latin1');
    end.writeUInt32LE(footer.length, 0);
    await handle.writeFile(footer);
    await handle.writeFile(end);
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
  return { path, rows: held, isWhole: count === all.length };
}

/** The metadata of a file with few row groups; more takes a second request. */
const TAIL_BYTES = 2 ** 13;

/** The same file, with its metadata in memory: errors of reading it are then about its content, and not about the source. */
export async function withTail(source: RangedSource): Promise<AsyncBuffer> {
  const { byteLength } = source;
  const tailOf = (bytes: number): Promise<ArrayBuffer> => Promise.resolve(source.slice(Math.max(0, byteLength - bytes), byteLength));
  const short = await tailOf(TAIL_BYTES);
  const needed =
    short.byteLength < FOOTER_END_BYTES ? 0 : new DataView(short).getUint32(short.byteLength - FOOTER_END_BYTES, true) + FOOTER_END_BYTES;
  const isLonger = needed > short.byteLength && needed <= MAX_FOOTER_BYTES && needed <= byteLength;
  const tail = isLonger ? await tailOf(needed) : short;
  const begin = byteLength - tail.byteLength;
  return {
    byteLength,
    slice: (start, end = byteLength) => (start >= begin ? tail.slice(start - begin, end - begin) : source.slice(start, end)),
  };
}

/** The places of the bytes of a row group; the last one is not included. */
export function spanOf({ columns }: RowGroup): { readonly start: number; readonly end: number } {
  const chunks = columns.flatMap(({ meta_data: column }) => {
    if (column === undefined) return [];
    const start = Number(column.dictionary_page_offset || column.data_page_offset);
    return [{ start, end: start + Number(column.total_compressed_size) }];
  });
  const [start, end] = [Math.min(...chunks.map(chunk => chunk.start)), Math.max(0, ...chunks.map(chunk => chunk.end))];
  return { start: Number.isFinite(start) ? start : end, end };
}
