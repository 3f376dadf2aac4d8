/** The positions of records in a segment of a file whose lines need not be records. */

export interface RecordRanges {
  /** [records] the first byte of each record, from the beginning of the segment. */
  readonly starts: Uint32Array;
  /** [records] the length of each record in bytes. */
  readonly lengths: Uint32Array;
  /** [records] the line of each record's first byte in its file, from 1. */
  readonly lines: Uint32Array;
  /** Index of the first record in the list of its file, from 0; left out if there is no list. */
  readonly first?: number;
}

/** A segment of a file, with the records in it. */
export interface RangedSegment {
  readonly file: string;
  /** Start in bytes; `to` is in bytes too. */
  readonly from: number;
  readonly to: number;
  readonly ranges: RecordRanges;
}

/** Thrown for a file whose records cannot be found by its bytes alone. */
export class NoPlacesError extends Error {
  override name = 'NoPlacesError';
}

/** The records of an unfinished segment. */
export class FoundRecords {
  private readonly file: string;
  private readonly isList: boolean;
  private starts: number[] = [];
  private lengths: number[] = [];
  private lines: number[] = [];
  private first = 0;
  /** Number of bytes from the start of the first record to the end of the last. */
  bytes = 0;

  constructor(file: string, { isList }: { readonly isList: boolean }) {
    this.file = file;
    this.isList = isList;
  }

  add(start: number, length: number, line: number): void {
    this.starts.push(start);
    this.lengths.push(length);
    this.lines.push(line);
    this.bytes = start + length - (this.starts[0] ?? 0);
  }

  /** Returns the segment with the records so far, and starts the next segment. */
  segment(): RangedSegment {
    const { file, first } = this;
    const from = this.starts[0] ?? 0;
    const starts = Uint32Array.from(this.starts, start => start - from);
    const [lengths, lines] = [Uint32Array.from(this.lengths), Uint32Array.from(this.lines)];
    const to = from + this.bytes;
    this.first += starts.length;
    [this.starts, this.lengths, this.lines, this.bytes] = [[], [], [], 0];
    return { file, from, to, ranges: { starts, lengths, lines, ...(this.isList && { first }) } };
  }
}
