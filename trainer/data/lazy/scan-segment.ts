/** Reads the lines of a segment, checks each, and decides which become samples. */
import { isUtf8 } from 'node:buffer';
import { DataError, type DataProblem } from '../data-error.ts';
import type { Decider, Decision } from './decide/decider.ts';
import { type IndexRows, RowBuilder } from './index-rows.ts';
import { type LineSettings, recordOf } from './line-record.ts';
import { PlainReader } from './plain/plain-record.ts';
import type { RecordRanges } from './record-ranges.ts';
import { readSegment, type Segment } from './segments.ts';

/** The samples of a segment. Line numbers count within the segment, or within the file if the segment has record ranges. */
export interface ScannedSegment extends IndexRows {
  /** Number of lines that begin in the segment; 0 if it has record ranges. */
  readonly lineCount: number;
  /** Number of records that were checked, including dropped ones. */
  readonly read: number;
  /** Number of dropped records, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Problems of single lines; their line numbers count like those of the samples, from 1. */
  readonly problems: readonly DataProblem[];
}

const NEWLINE = 10;
const RETURN = 13;
const BYTE_ORDER_MARK = Buffer.of(0xef, 0xbb, 0xbf);

/**
 * Scans a segment.
 * @param chosen ascending indices of the records to check, within the segment; if left out, all
 * @throws DataError for a problem that does not belong to a single line
 */
export function scanSegment(segment: Segment, settings: LineSettings, decider: Decider, chosen?: Uint32Array): ScannedSegment {
  const { bytes, at } = readSegment(segment);
  const rows = new RowBuilder();
  const dropped: Record<string, number> = {};
  const problems: DataProblem[] = [];
  let [place, next, read] = [0, 0, 0];
  const isWanted = (): boolean => {
    if (chosen === undefined) return true;
    const isNext = chosen[next] === place++;
    if (isNext) next++;
    return isNext;
  };
  const decide = decisionsOf(bytes, segment, settings, decider);
  const ranges = segment.ranges ? new Ranges(segment.ranges) : new Lines(bytes, at === 0);
  while (ranges.next()) {
    const { from, to, line, element } = ranges;
    try {
      const decision = decide(from, to, line, isWanted);
      if (decision === undefined) continue;
      read++;
      const { dropped: reason, label } = decision;
      if (reason === undefined) rows.add({ start: at + from, length: to - from, line, element, label });
      else {
        dropped[reason] = (dropped[reason] ?? 0) + 1;
        if (label !== undefined) rows.name(label);
      }
    } catch (error) {
      if (!(error instanceof DataError) || error.place.line === undefined) throw error;
      problems.push({ ...error.place, problem: error.problem, advice: error.advice });
    }
  }
  return { ...rows.end(), lineCount: segment.ranges ? 0 : ranges.line, read, dropped, problems };
}

/**
 * Returns a function that decides about the record in a range of bytes; undefined if there is no record, or it is not wanted.
 * @throws DataError from that function
 */
function decisionsOf(bytes: Buffer, { file, table }: Segment, settings: LineSettings, { decide, decidePlain }: Decider) {
  const isText = isUtf8(bytes);
  const plain = isText && table === undefined && decidePlain ? new PlainReader(bytes, settings) : undefined;
  return (from: number, to: number, line: number, isWanted: () => boolean): Decision | undefined => {
    if (plain?.read(from, to)) {
      if (!isWanted()) return undefined;
      const decision = decidePlain?.(plain);
      if (decision !== undefined) return decision;
      return decide(recordOf(file, line, bytes.toString('utf8', from, to), settings, undefined));
    }
    if (!isText && !isUtf8(bytes.subarray(from, to))) throw notUtf8(file, line);
    const text = bytes.toString('utf8', from, to);
    const isRecord = table !== undefined || text.trim() !== '';
    return isRecord && isWanted() ? decide(recordOf(file, line, text, settings, table)) : undefined;
  };
}

/** Iterates over the positions of the records within the bytes of a segment. */
interface RecordPlaces {
  next(): boolean;
  readonly from: number;
  readonly to: number;
  /** Line number, from 1; 0 before the first record. */
  readonly line: number;
  /** Index in the file's list. */
  readonly element: number | undefined;
}

class Ranges implements RecordPlaces {
  private readonly ranges: RecordRanges;
  private place = -1;
  from = 0;
  to = 0;
  line = 0;
  element: number | undefined;

  constructor(ranges: RecordRanges) {
    this.ranges = ranges;
  }

  next(): boolean {
    const { starts, lengths, lines, first } = this.ranges;
    const place = ++this.place;
    if (place >= starts.length) return false;
    this.from = starts[place] as number;
    this.to = this.from + (lengths[place] as number);
    this.line = lines[place] as number;
    this.element = first === undefined ? undefined : first + place;
    return true;
  }
}

/** Whole lines, without their ends. */
class Lines implements RecordPlaces {
  private readonly bytes: Buffer;
  private begin: number;
  from = 0;
  to = 0;
  line = 0;
  readonly element = undefined;

  constructor(bytes: Buffer, isStart: boolean) {
    this.bytes = bytes;
    this.begin = isStart && bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;
  }

  next(): boolean {
    const { bytes, begin } = this;
    if (begin >= bytes.length) return false;
    const found = bytes.indexOf(NEWLINE, begin);
    const end = found < 0 ? bytes.length : found;
    this.from = begin;
    this.to = end > begin && bytes[end - 1] === RETURN ? end - 1 : end;
    this.line++;
    this.begin = end + 1;
    return true;
  }
}

const notUtf8 = (file: string, line: number): DataError =>
  new DataError({ file, line, problem: 'bytes that are not UTF-8 text', advice: 'Save the file as UTF-8' });
