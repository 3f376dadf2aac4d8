/** Parts of line-based data files that are read independently of each other. */
import { closeSync } from 'node:fs';
import type { DataFile } from '../read/list-files.ts';
import { MAX_LINE_CHARACTERS } from '../read/utf8-stream.ts';
import { type ListElements, listSegments } from './list-segments.ts';
import { openRegular, readAt } from './read-at.ts';

/** A part of a file: the lines that begin in it, of which the last may end behind it. */
export interface Segment {
  readonly file: string;
  /** In bytes. */
  readonly from: number;
  readonly to: number;
  /** Present in a list of JSON, whose objects are no lines. */
  readonly elements?: ListElements;
}

export const SEGMENT_BYTES = 4 * 2 ** 20;
const READ_BYTES = 2 ** 16;
const NEWLINE = 10;

/** The segments of files in their order. @throws NoListError from reading a file of JSON that is no list of objects */
export function* segmentsOf(files: readonly DataFile[], segmentBytes = SEGMENT_BYTES): Generator<Segment> {
  for (const { file, bytes, extension } of files)
    if (extension === '.json') yield* listSegments(file, segmentBytes);
    else for (let from = 0; from < bytes; from += segmentBytes) yield { file, from, to: Math.min(bytes, from + segmentBytes) };
}

export interface SegmentBytes {
  /** From the beginning of a line or an object to the end of one, or of the file. */
  readonly bytes: Buffer;
  /** The place of the first byte in the file. */
  readonly at: number;
}

/** Reads the lines that begin in a segment, or its objects. @throws RangeError for a line above the limit of `readLines` */
export function readSegment({ file, from, to, elements }: Segment): SegmentBytes {
  const handle = openRegular(file);
  try {
    if (elements) return { bytes: readAt(handle, from, to - from), at: from };
    // The byte before shows whether a line begins here.
    const start = Math.max(0, from - 1);
    let bytes = readAt(handle, start, to - start);
    const skipped = from === 0 ? 0 : bytes.indexOf(NEWLINE) + 1;
    if (from > 0 && skipped === 0) return { bytes: Buffer.alloc(0), at: to };
    // The last line ends behind this segment, unless a line ends with it.
    const pieces = [bytes.subarray(skipped)];
    for (let end = start + bytes.length; bytes.at(-1) !== NEWLINE; end += bytes.length) {
      if (end - to > 4 * MAX_LINE_CHARACTERS) throw new RangeError(`${file} has a line of more than ${MAX_LINE_CHARACTERS} characters`);
      bytes = readAt(handle, end, READ_BYTES);
      if (bytes.length === 0) break;
      const newline = bytes.indexOf(NEWLINE);
      if (newline >= 0) bytes = bytes.subarray(0, newline + 1);
      pieces.push(bytes);
    }
    return { bytes: pieces.length === 1 ? (pieces[0] ?? Buffer.alloc(0)) : Buffer.concat(pieces), at: start + skipped };
  } finally {
    closeSync(handle);
  }
}
