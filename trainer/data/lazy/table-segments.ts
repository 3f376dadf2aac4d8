/** Finds the records of a table by scanning its bytes, so that each can be read by its position. */
import { closeSync } from 'node:fs';
import { DataError } from '../data-error.ts';
import { hasShortLines, isColaLine } from '../glue.ts';
import { type CsvTable, delimiterOf, headerOf, recordTooLarge } from '../read/read-csv.ts';
import { MAX_LINE_CHARACTERS } from '../read/utf8-stream.ts';
import { openRegular, readAt } from './read-at.ts';
import { FoundRecords, type RangedSegment } from './record-ranges.ts';

/** A table whose header was read. */
export interface FoundTable extends CsvTable {
  /** Offset of the first byte after the header. */
  readonly start: number;
  /** Line number at that offset, from 1. */
  readonly line: number;
  /** Whether lines end with a carriage return. */
  readonly hasReturns: boolean;
}

const HEADER_BYTES = 2 ** 20;
const READ_BYTES = 4 * 2 ** 20;
const [NEWLINE, RETURN, QUOTE] = [0x0a, 0x0d, 0x22];

/** Reads the header of a table; undefined if the table must be read whole. */
export function findTable(file: string, extension: '.csv' | '.tsv'): FoundTable | undefined {
  const handle = openRegular(file);
  let bytes: Buffer;
  try {
    bytes = readAt(handle, 0, HEADER_BYTES);
  } finally {
    closeSync(handle);
  }
  let [start, line] = [0, 1];
  for (; ; line++) {
    const end = bytes.indexOf(NEWLINE, start);
    if (end < 0) return undefined;
    const text = bytes.toString('utf8', start, end).replace(/^\uFEFF/, '');
    start = end + 1;
    const hasReturns = text.endsWith('\r');
    const header = hasReturns ? text.slice(0, -1) : text;
    if (header === '') continue;
    const delimiter = extension === '.tsv' ? '\t' : delimiterOf(header);
    // A header with line breaks, no header, or lines that are skipped: left to the parser.
    const isSpecial = delimiter === '\t' && (isColaLine(header) || hasShortLines(header));
    const columns =
      isSpecial || header.includes('\r') || (header.split('"').length - 1) % 2 === 1 ? undefined : headerOf(header, delimiter);
    return columns && { delimiter, columns, start, line: line + 1, hasReturns };
  }
}

/**
 * Yields the segments of a table, in order. A line break ends a record if the number of quotes before it is even.
 * @param segmentBytes minimum size of a segment, except the last
 * @param readBytes size of a block that is read at once
 * @throws DataError from reading a record that is too large
 */
export function* tableSegments(
  file: string,
  table: FoundTable,
  segmentBytes: number,
  readBytes = READ_BYTES,
): Generator<RangedSegment & { readonly table: CsvTable }> {
  const { delimiter, columns } = table;
  const found = new FoundRecords(file, { isList: false });
  const segment = () => ({ ...found.segment(), table: { delimiter, columns } });
  const records = new RecordFinder(table, found);
  const handle = openRegular(file);
  let at = table.start;
  try {
    for (;;) {
      const bytes = readAt(handle, at, readBytes);
      if (bytes.length === 0) break;
      records.take(bytes, at);
      at += bytes.length;
      if (at - records.start > 4 * MAX_LINE_CHARACTERS) throw new DataError({ ...recordTooLarge, file, line: records.startLine });
      if (found.bytes >= segmentBytes) yield segment();
    }
  } finally {
    closeSync(handle);
  }
  if (at > records.start) found.add(records.start, at - records.start, records.startLine);
  if (found.bytes > 0) yield segment();
}

/** Scans the bytes of a table in blocks, which may end anywhere. */
class RecordFinder {
  private readonly found: FoundRecords;
  private readonly isQuoted: boolean;
  private readonly hasReturns: boolean;
  private isInQuotes = false;
  private line: number;
  private lastByte = 0;
  /** Offset of the unfinished record; `startLine` is its line. */
  start: number;
  startLine: number;

  constructor({ delimiter, hasReturns, start, line }: FoundTable, found: FoundRecords) {
    this.found = found;
    this.isQuoted = delimiter !== '\t';
    this.hasReturns = hasReturns;
    this.start = start;
    [this.line, this.startLine] = [line, line];
  }

  /** Scans a block. @param at offset of the block in the file */
  take(bytes: Buffer, at: number): void {
    for (let from = 0; from < bytes.length; ) {
      const newline = bytes.indexOf(NEWLINE, from);
      const end = newline < 0 ? bytes.length : newline;
      if (this.isQuoted)
        for (let quote = bytes.indexOf(QUOTE, from); quote >= 0 && quote < end; quote = bytes.indexOf(QUOTE, quote + 1))
          this.isInQuotes = !this.isInQuotes;
      if (newline < 0) break;
      this.line++;
      const isReturn = (newline === 0 ? this.lastByte : bytes[newline - 1]) === RETURN;
      if (!this.isInQuotes && (isReturn || !this.hasReturns)) this.end(at + newline);
      from = newline + 1;
    }
    this.lastByte = bytes.at(-1) ?? 0;
  }

  private end(newline: number): void {
    const length = newline - this.start - Number(this.hasReturns);
    if (length > 0) this.found.add(this.start, length, this.startLine);
    this.start = newline + 1;
    this.startLine = this.line;
  }
}
