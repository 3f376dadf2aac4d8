/** Counts the samples of a data file if that is quick, for the number of steps that an editor shows. */
import { readDataBlocks } from '../../data/read/data-file.ts';
import type { DataFile } from '../../data/read/list-files.ts';

export interface RowCount {
  readonly count: number;
  /** False if the count was extrapolated from the first part of a large file. */
  readonly isExact: boolean;
}

/** Number of bytes to read, which takes about 10 ms; longer files are extrapolated. */
const MAX_READ_BYTES = 16 * 2 ** 20;
const NEWLINE = 0x0a;
const QUOTE = 0x22;

export interface CountParams extends DataFile {
  /** Number of samples read so far; `limit` is the number at which reading stopped. */
  readonly checked: number;
  readonly limit: number;
}

/** Counts the samples; undefined if samples are not lines, unless the file was read to its end. */
export async function countRows({ file, extension, bytes, checked, limit }: CountParams): Promise<RowCount | undefined> {
  if (checked < limit) return { count: checked, isExact: true };
  const isTable = extension === '.csv' || extension === '.tsv';
  if (!isTable && extension !== '.jsonl' && extension !== '.ndjson') return undefined;
  let lines = 0;
  let isBlank = true;
  let isQuoted = false;
  let read = 0;
  for await (const block of readDataBlocks(file, 2 ** 20, MAX_READ_BYTES)) {
    read += block.length;
    for (const byte of block) {
      // A quoted field may contain line ends. Tab-separated files have no quotes.
      if (extension === '.csv' && byte === QUOTE) isQuoted = !isQuoted;
      if (byte === NEWLINE && !isQuoted) {
        if (!isBlank) lines++;
        isBlank = true;
      } else if (byte > 0x20) isBlank = false;
    }
  }
  if (!isBlank) lines++;
  const rows = Math.max(0, lines - (isTable ? 1 : 0));
  return read >= bytes ? { count: rows, isExact: true } : { count: Math.round((rows * bytes) / read), isExact: false };
}
