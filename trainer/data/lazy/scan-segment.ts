/** Reads the lines of a segment, checks each, and decides which become samples. */
import { isAscii, isUtf8 } from 'node:buffer';
import { DataError, type DataProblem } from '../data-error.ts';
import { type ColumnNames, checkSameFormat, renameColumns } from '../detect-format.ts';
import type { DropReason } from '../example/tokenize-example.ts';
import { type CsvTable, parseRow } from '../read/read-csv.ts';
import { parseRecord } from '../read/read-records.ts';
import type { DataFormat, DataRecord } from '../types.ts';
import type { RecordRanges } from './record-ranges.ts';
import { readSegment, type Segment } from './segments.ts';

/** How a line becomes a record. */
export interface LineSettings {
  readonly columns: ColumnNames;
  readonly format: DataFormat;
  /** The first record of the data, which others have to be like; undefined where the recipe sets the format. */
  readonly first: DataRecord | undefined;
}

/** The lines of a segment that become samples. */
export interface ScannedSegment {
  /** [samples] the place of each in its file, split into the lower 32 bits and the rest. */
  readonly low: Uint32Array;
  readonly high: Uint32Array;
  /** [samples] in bytes, without the line's end. */
  readonly lengths: Uint32Array;
  /** [samples] the line of each from 0: among those that begin in the segment, or where these may be no records, in its file. */
  readonly lines: Uint32Array;
  /** [samples] the place of each in the list of its file; empty where it is none. */
  readonly elements: Uint32Array;
  /** [samples] the label of each among `labelNames`; empty where samples have none. */
  readonly labels: Uint32Array;
  /** The labels of all records that were looked at, in the order of their first appearance. */
  readonly labelNames: readonly string[];
  /** Lines that begin in the segment; 0 where these may be no records. */
  readonly lineCount: number;
  /** Records that were looked at, those included that are left out. */
  readonly read: number;
  /** Records that are left out, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Problems of single lines, whose numbers count as those of samples, from 1. */
  readonly problems: readonly DataProblem[];
}

/** Whether a record becomes a sample, and its label. */
export interface Decision {
  /** Why it becomes no sample. */
  readonly dropped?: DropReason | undefined;
  readonly label?: string | undefined;
}

export type Decide = (record: DataRecord) => Decision;

const NEWLINE = 10;
const RETURN = 13;
const BYTE_ORDER_MARK = Buffer.of(0xef, 0xbb, 0xbf);

/**
 * @param chosen the records that are looked at, by their ascending places among those of the segment; left out, all
 * @throws DataError for a problem that is of no single line
 */
export function scanSegment(segment: Segment, settings: LineSettings, decide: Decide, chosen?: Uint32Array): ScannedSegment {
  const { bytes, at } = readSegment(segment);
  const starts: number[] = [];
  const lengths: number[] = [];
  const lines: number[] = [];
  const elements: number[] = [];
  const labels: number[] = [];
  const names = new Map<string, number>();
  const dropped: Record<string, number> = {};
  const problems: DataProblem[] = [];
  let [place, next, read, lineCount] = [0, 0, 0, 0];
  const isText = isUtf8(bytes);
  // The same text, decoded in less time.
  const encoding = isAscii(bytes) ? 'latin1' : 'utf8';
  for (const { from, to, line, element } of segment.ranges ? placesIn(segment.ranges) : lineRanges(bytes, at === 0)) {
    try {
      if (!isText && !isUtf8(bytes.subarray(from, to))) throw notUtf8(segment.file, line + 1);
      const text = bytes.toString(encoding, from, to);
      const isRecord = segment.table !== undefined || text.trim() !== '';
      if (isRecord && (chosen === undefined || chosen[next] === place++)) {
        next++;
        const { dropped: reason, label } = decide(recordOf(segment.file, line + 1, text, settings, segment.table));
        read++;
        const name = label === undefined ? undefined : placeOf(names, label);
        if (reason !== undefined) dropped[reason] = (dropped[reason] ?? 0) + 1;
        else {
          starts.push(at + from);
          lengths.push(to - from);
          lines.push(line);
          if (element !== undefined) elements.push(element);
          if (name !== undefined) labels.push(name);
        }
      }
    } catch (error) {
      if (!(error instanceof DataError) || error.place.line === undefined) throw error;
      problems.push({ ...error.place, problem: error.problem, advice: error.advice });
    }
    if (!segment.ranges) lineCount = line + 1;
  }
  return {
    ...inTwoParts(starts),
    lengths: Uint32Array.from(lengths),
    lines: Uint32Array.from(lines),
    elements: Uint32Array.from(elements),
    labels: Uint32Array.from(labels),
    labelNames: [...names.keys()],
    lineCount,
    read,
    dropped,
    problems,
  };
}

/** Places of bytes by their lower and upper 32 bits. */
export const inTwoParts = (starts: readonly number[]): Pick<ScannedSegment, 'low' | 'high'> => ({
  low: Uint32Array.from(starts, start => start % 2 ** 32),
  high: Uint32Array.from(starts, start => Math.floor(start / 2 ** 32)),
});

function placeOf(names: Map<string, number>, name: string): number {
  const place = names.get(name) ?? names.size;
  names.set(name, place);
  return place;
}

/** The record on a line that is not empty, or of a table. @throws DataError */
export function recordOf(
  file: string,
  line: number,
  text: string,
  { columns, format, first }: LineSettings,
  table: CsvTable | undefined,
): DataRecord {
  const record = renameColumns({ file, line, value: table ? parseRow(file, line, text, table) : parseRecord(file, line, text) }, columns);
  if (first) checkSameFormat(record, format, first);
  return record;
}

/** The place of a record among the bytes of a segment. */
interface RecordRange {
  readonly from: number;
  readonly to: number;
  /** From 0. */
  readonly line: number;
  /** Its place in a list. */
  readonly element?: number;
}

function* placesIn({ starts, lengths, lines, first }: RecordRanges): Generator<RecordRange> {
  for (const [i, from] of starts.entries())
    yield { from, to: from + (lengths[i] ?? 0), line: (lines[i] ?? 1) - 1, ...(first !== undefined && { element: first + i }) };
}

/** Whole lines, without their ends. */
function* lineRanges(bytes: Buffer, isStart: boolean): Generator<RecordRange> {
  let line = 0;
  let from = isStart && bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;
  while (from < bytes.length) {
    const found = bytes.indexOf(NEWLINE, from);
    const end = found < 0 ? bytes.length : found;
    yield { from, to: end > from && bytes[end - 1] === RETURN ? end - 1 : end, line: line++ };
    from = end + 1;
  }
}

const notUtf8 = (file: string, line: number): DataError =>
  new DataError({ file, line, problem: 'bytes that are not UTF-8 text', advice: 'Save the file as UTF-8' });
