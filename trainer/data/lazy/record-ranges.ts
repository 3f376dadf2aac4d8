/** The places of records in a segment of a file in which a line may be no record. */

export interface RecordRanges {
  /** [records] the first byte of each, from the beginning of the segment. */
  readonly starts: Uint32Array;
  /** [records] in bytes. */
  readonly lengths: Uint32Array;
  /** [records] the line of the first byte of each in its file, from 1. */
  readonly lines: Uint32Array;
  /** The place of the first one in the list of its file, from 0; left out where there is no list. */
  readonly first?: number;
}

/** A segment of a file with the records that are in it. */
export interface RangedSegment {
  readonly file: string;
  /** In bytes. */
  readonly from: number;
  readonly to: number;
  readonly ranges: RecordRanges;
}

/** A file whose records cannot be found by its bytes alone. */
export class NoPlacesError extends Error {
  override name = 'NoPlacesError';
}

/** The records of a segment that is not finished. */
export class FoundRecords {
  private readonly file: string;
  private readonly isList: boolean;
  private starts: number[] = [];
  private lengths: number[] = [];
  private lines: number[] = [];
  private first = 0;
  /** From the first record to the end of the last. */
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

  /** The records so far, without which the next segment begins. */
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
