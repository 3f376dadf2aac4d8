/** The rows of an index: five integers for each sample. */

export const ROW = 5;
/** The upper bits of a position share 32 bits with the file number, so files may have up to a terabyte. */
export const HIGH_BITS = 8;

const FIRST_ROWS = 1024;

/** The samples of a part of the data; a part lies within one file. */
export interface IndexRows {
  /**
   * [samples × 5] per sample: the position in its file, as lower 32 bits and the rest; its bytes, without the line end; its line, from 1
   * within the part; its position in the file's list, from 1, or 0 if there is no list.
   */
  readonly rows: Uint32Array;
  /** [samples] index of each label in `labelNames`; empty if samples have no labels. */
  readonly labels: Uint32Array;
  /** The labels of all records seen, in the order of their first appearance. */
  readonly labelNames: readonly string[];
}

/** A sample that was found. */
export interface FoundSample {
  readonly start: number;
  /** Length in bytes. */
  readonly length: number;
  /** Line number, from 1. */
  readonly line: number;
  /** Index in the file's list, from 0. */
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

  /** Adds the label of a record, whether or not it becomes a sample. @returns its index */
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

/**
 * Converts the rows of a part to rows of all data, in place.
 * @param file index of the part's file
 * @param lineBefore lines of the file before the part
 */
export function placeRows(rows: Uint32Array, file: number, lineBefore: number): void {
  for (let at = 0; at < rows.length; at += ROW) {
    rows[at + 1] = ((rows[at + 1] as number) | (file << HIGH_BITS)) >>> 0;
    rows[at + 3] = (rows[at + 3] as number) + lineBefore;
  }
}
