/** The rows of an index: five numbers for each sample. */

export const ROW = 5;
/** The upper part of a place and the number of its file share 32 bits: files of up to a terabyte. */
export const HIGH_BITS = 8;

const FIRST_ROWS = 1024;

/** The samples of a part of the data, which is in one file. */
export interface IndexRows {
  /**
   * [samples × 5] of each: the place in its file, its lower 32 bits and the rest; its bytes, without the line's end; its line, from 1 among those
   * that begin in the part; its place in the list of its file, from 1, or 0 where it is in none.
   */
  readonly rows: Uint32Array;
  /** [samples] the label of each among `labelNames`; empty where samples have none. */
  readonly labels: Uint32Array;
  /** The labels of all records that were looked at, in the order of their first appearance. */
  readonly labelNames: readonly string[];
}

/** A sample that was found. */
export interface FoundSample {
  readonly start: number;
  /** In bytes. */
  readonly length: number;
  /** From 1. */
  readonly line: number;
  /** From 0. */
  readonly element: number | undefined;
  readonly label: string | undefined;
}

/** Collects rows. */
export class RowBuilder {
  private rows = new Uint32Array(ROW * FIRST_ROWS);
  private readonly labels: number[] = [];
  private readonly names = new Map<string, number>();
  length = 0;

  add({ start, length, line, element, label }: FoundSample): void {
    const at = ROW * this.length++;
    if (at === this.rows.length) {
      const larger = new Uint32Array(2 * at);
      larger.set(this.rows);
      this.rows = larger;
    }
    const { rows } = this;
    rows[at] = start;
    rows[at + 1] = Math.floor(start / 2 ** 32);
    rows[at + 2] = length;
    rows[at + 3] = line;
    rows[at + 4] = element === undefined ? 0 : element + 1;
    if (label !== undefined) this.labels.push(this.name(label));
  }

  /** Adds the label of a record, whether it becomes a sample or not. @returns its place */
  name(label: string): number {
    const place = this.names.get(label) ?? this.names.size;
    this.names.set(label, place);
    return place;
  }

  end(): IndexRows {
    return { rows: this.rows.slice(0, ROW * this.length), labels: Uint32Array.from(this.labels), labelNames: [...this.names.keys()] };
  }
}

/** The number of samples in rows. */
export const samplesIn = ({ rows }: Pick<IndexRows, 'rows'>): number => rows.length / ROW;

/** Makes the rows of a part those of all data, in place. @param file the place of the part's file @param lineBefore lines of the file before the part */
export function placeRows(rows: Uint32Array, file: number, lineBefore: number): void {
  for (let at = 0; at < rows.length; at += ROW) {
    rows[at + 1] = ((rows[at + 1] as number) | (file << HIGH_BITS)) >>> 0;
    rows[at + 3] = (rows[at + 3] as number) + lineBefore;
  }
}
