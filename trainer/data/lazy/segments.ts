/** Parts of line-based data files that are read independently of each other. */
import { closeSync } from 'node:fs';
import type { DataFile } from '../read/list-files.ts';
import type { CsvTable } from '../read/read-csv.ts';
import { MAX_LINE_CHARACTERS } from '../read/utf8-stream.ts';
import { listSegments } from './list-segments.ts';
import { openRegular, readAt } from './read-at.ts';
import { NoPlacesError, type RecordRanges } from './record-ranges.ts';
import { type FoundTable, findTable, tableSegments } from './table-segments.ts';

/** A part of a file: the lines that begin in it. The last line may end after it. */
export interface Segment {
  readonly file: string;
  /** Start in bytes; `to` is in bytes too. */
  readonly from: number;
  readonly to: number;
  /** Present if lines need not be records: in JSON lists and in tables. */
  readonly ranges?: RecordRanges;
  /** Present for tables. */
  readonly table?: CsvTable;
}

export const SEGMENT_BYTES = 4 * 2 ** 20;
const READ_BYTES = 2 ** 16;
const NEWLINE = 10;

/** The table in a file; undefined for a file of lines or JSON. @throws NoPlacesError for a table that is read whole */
export function tableIn({ file, extension }: DataFile): FoundTable | undefined {
  if (extension !== '.csv' && extension !== '.tsv') return undefined;
  const table = findTable(file, extension);
  if (table === undefined) throw new NoPlacesError(`${file} has no usual header`);
  return table;
}

/**
 * Yields the segments of files in order.
 * @param tables the table in each file, or undefined
 * @throws NoPlacesError from reading a file whose records cannot be found
 */
export function* segmentsOf(
  files: readonly DataFile[],
  tables: ReadonlyArray<FoundTable | undefined>,
  segmentBytes = SEGMENT_BYTES,
): Generator<Segment> {
  for (const [i, { file, bytes, extension }] of files.entries()) {
    const table = tables[i];
    if (table) yield* tableSegments(file, table, segmentBytes);
    else if (extension === '.json') yield* listSegments(file, segmentBytes);
    else for (let from = 0; from < bytes; from += segmentBytes) yield { file, from, to: Math.min(bytes, from + segmentBytes) };
  }
}

export interface SegmentBytes {
  /** Bytes from the beginning of a line or record to the end of one, or of the file. */
  readonly bytes: Buffer;
  /** Offset of the first byte in the file. */
  readonly at: number;
}

/** Memory that is reused for each segment: allocating it anew takes as long as reading the segment. */
let memory: Buffer = Buffer.alloc(0);

function memoryOf(bytes: number): Buffer {
  if (memory.length < bytes) memory = Buffer.allocUnsafe(bytes);
  return memory;
}

/**
 * Reads the lines that begin in a segment, or its records. The bytes are valid until the next call.
 * @throws RangeError for a line above the limit of `readLines`
 */
export function readSegment({ file, from, to, ranges }: Segment): SegmentBytes {
  const handle = openRegular(file);
  try {
    if (ranges) return { bytes: readAt(handle, from, to - from, memoryOf(to - from)), at: from };
    // The byte before shows whether a line begins here.
    const start = Math.max(0, from - 1);
    const room = memoryOf(to - start + READ_BYTES);
    const bytes = readAt(handle, start, to - start, room);
    const skipped = from === 0 ? 0 : bytes.indexOf(NEWLINE) + 1;
    if (from > 0 && skipped === 0) return { bytes: Buffer.alloc(0), at: to };
    return { bytes: lastLineEnded(handle, { file, to, bytes, room, end: start + bytes.length }).subarray(skipped), at: start + skipped };
  } finally {
    closeSync(handle);
  }
}

interface Read {
  readonly file: string;
  readonly to: number;
  readonly bytes: Buffer;
  /** The memory that begins with `bytes`. */
  readonly room: Buffer;
  /** Offset in the file after `bytes`. */
  readonly end: number;
}

/** The bytes including the rest of their last line, which may end after the segment. */
function lastLineEnded(handle: number, { file, to, bytes, room, end }: Read): Buffer {
  if (bytes.at(-1) === NEWLINE) return bytes;
  const next = readAt(handle, end, READ_BYTES, room.subarray(bytes.length));
  const newline = next.indexOf(NEWLINE);
  if (newline >= 0 || next.length < READ_BYTES) return room.subarray(0, bytes.length + (newline < 0 ? next.length : newline + 1));
  const pieces = [bytes, next];
  for (let at = end + next.length; ; ) {
    if (at - to > 4 * MAX_LINE_CHARACTERS) throw new RangeError(`${file} has a line of more than ${MAX_LINE_CHARACTERS} characters`);
    const more = readAt(handle, at, READ_BYTES);
    const found = more.indexOf(NEWLINE);
    pieces.push(found < 0 ? more : more.subarray(0, found + 1));
    if (found >= 0 || more.length === 0) return Buffer.concat(pieces);
    at += more.length;
  }
}
