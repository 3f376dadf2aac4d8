/** Bounds on a Parquet file's metadata and pages, checked before hyparquet allocates memory for them. */
import type { AsyncBuffer, Compressors, RowGroup } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { ThriftWalk } from './parquet-thrift.ts';
import { checkZstd } from './zstd-bounds.ts';

/** Maximum size of a row group, which is decoded as a whole. A heap of 4 GB can hold twice this size in JavaScript objects. */
export const MAX_ROW_GROUP_BYTES = 2 ** 30;
/** Maximum number of rows in a row group, for tiny rows, and of values in a page. */
export const MAX_ROW_GROUP_ROWS = 10_000_000;
/** Maximum number of values in all columns of a row group, including lists: eight bytes each in memory. */
const MAX_ROW_GROUP_VALUES = 100_000_000;
/** Maximum size of a page. Writers make pages of a megabyte; a large value has its own page. */
const MAX_PAGE_BYTES = 2 ** 28;
/** Maximum size of the metadata. A thousand columns in a hundred row groups take about 20 MB. */
export const MAX_FOOTER_BYTES = 2 ** 26;
/** Size of the metadata's length and the magic. */
export const FOOTER_END_BYTES = 8;

/** Fields of a page header. */
const PAGE = { uncompressed: 2, compressed: 3, data: 5, dictionary: 7, dataV2: 8, values: 1 } as const;

/** Reads the metadata. @throws Error for metadata that is larger than stated or allowed, or that declares lists longer than it holds */
export async function checkedFooter(file: AsyncBuffer): Promise<Uint8Array> {
  const end = file.byteLength - FOOTER_END_BYTES;
  const length = new DataView(await file.slice(end, file.byteLength)).getUint32(0, true);
  if (length > end) throw new Error(`its metadata has ${length} bytes, but the file has only ${file.byteLength}`);
  if (length > MAX_FOOTER_BYTES) throw new Error(`its metadata has ${length} bytes; at most ${MAX_FOOTER_BYTES} are read`);
  const footer = new Uint8Array(await file.slice(end - length, end));
  new ThriftWalk(footer).struct();
  return footer;
}

/**
 * Checks the headers of all pages of a row group.
 * @throws Error if they unpack to more bytes or values than a row group may have
 */
export async function checkPages(file: AsyncBuffer, { columns }: RowGroup): Promise<void> {
  let [bytes, values] = [0, 0];
  for (const { meta_data: column } of columns) {
    if (column === undefined) continue;
    const start = Number(column.dictionary_page_offset || column.data_page_offset);
    const chunk = new Uint8Array(await file.slice(start, start + Number(column.total_compressed_size)));
    // As in hyparquet, a single last byte is not a page.
    for (const walk = new ThriftWalk(chunk); walk.position < chunk.length - 1; ) {
      const page = walk.struct();
      const [size, packed] = [page.integers.get(PAGE.uncompressed) ?? 0, page.integers.get(PAGE.compressed) ?? 0];
      const header = page.structs.get(PAGE.data) ?? page.structs.get(PAGE.dictionary) ?? page.structs.get(PAGE.dataV2);
      const count = header?.integers.get(PAGE.values) ?? 0;
      const name = column.path_in_schema.join('.');
      if (packed < 0 || packed > chunk.length - walk.position)
        throw new Error(`a page of the column "${name}" has ${packed} bytes, but only ${chunk.length - walk.position} follow`);
      if (size < 0 || size > MAX_PAGE_BYTES)
        throw new Error(`a page of the column "${name}" unpacks to ${size} bytes; at most ${MAX_PAGE_BYTES} are read`);
      if (count < 0 || count > MAX_ROW_GROUP_ROWS)
        throw new Error(`a page of the column "${name}" has ${count} values; at most ${MAX_ROW_GROUP_ROWS} are read`);
      bytes += size;
      values += count;
      if (bytes > MAX_ROW_GROUP_BYTES) throw new Error(`a row group unpacks to more than ${MAX_ROW_GROUP_BYTES} bytes`);
      if (values > MAX_ROW_GROUP_VALUES) throw new Error(`a row group has more than ${MAX_ROW_GROUP_VALUES} values`);
      walk.position += packed;
    }
  }
}

/** The library's decompressors. All except Zstandard's produce no more bytes than the page's header declares. */
export const boundedCompressors: Compressors = {
  ...compressors,
  ZSTD: (input, length) => {
    checkZstd(input, MAX_PAGE_BYTES);
    const unpack = compressors.ZSTD;
    if (unpack === undefined) throw new Error('its Zstandard data cannot be unpacked here');
    return unpack(input, length);
  },
};
