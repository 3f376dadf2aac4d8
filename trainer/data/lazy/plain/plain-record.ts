/** Records whose texts are not created: their keys are known, and their values are positions in a tape. */
import { isUtf8 } from 'node:buffer';
import { DataError } from '../../data-error.ts';
import { checkSameFormat, renameColumns } from '../../detect-format.ts';
import type { DataRecord } from '../../types.ts';
import type { LineSettings } from '../line-record.ts';
import { JsonTape, OBJECT } from './json-tape.ts';
import { MARKS } from './measured-text.ts';

/** The columns of all records with the same keys. */
interface Layout {
  readonly keys: readonly Uint8Array[];
  /** The index of each column's key, by the name that a reader knows; undefined if records with these keys must be parsed. */
  readonly columns: ReadonlyMap<string, number> | undefined;
}

/** The maximum number of layouts; data has few. */
const MAX_LAYOUTS = 100;

/** Finds a mark in bytes that are searched from start to end. */
class MarkFinder {
  private readonly bytes: Buffer;
  private readonly mark: Buffer;
  private next = -1;

  constructor(bytes: Buffer, mark: string) {
    this.bytes = bytes;
    this.mark = Buffer.from(mark);
  }

  isBetween(from: number, to: number): boolean {
    if (this.next < from) {
      const found = this.bytes.indexOf(this.mark, from);
      this.next = found < 0 ? this.bytes.length : found;
    }
    return this.next < to;
  }
}

/** A record in the form of its bytes. */
export interface PlainRecord {
  readonly tape: JsonTape;
  /** The entry of a column; undefined if the record lacks the column. */
  column(name: string): number | undefined;
  has(name: string): boolean;
}

/** Reads records from the bytes of one segment. */
export class PlainReader implements PlainRecord {
  private readonly bytes: Buffer;
  private readonly settings: Pick<LineSettings, 'columns' | 'format' | 'first'>;
  private readonly isText: boolean;
  private readonly layouts: Layout[] = [];
  private layout: Layout | undefined;
  private readonly marks: readonly MarkFinder[];
  /** The entries of the values of a record. */
  private readonly values: number[] = [];
  readonly tape = new JsonTape();

  constructor(bytes: Buffer, settings: Pick<LineSettings, 'columns' | 'format' | 'first'>) {
    this.bytes = bytes;
    this.settings = settings;
    this.isText = isUtf8(bytes);
    this.marks = MARKS.map(mark => new MarkFinder(bytes, mark));
  }

  /**
   * True if these bytes are a well-formed record of the data's format without marks that templates look for. The record is valid until the
   * next call. Other records are parsed.
   */
  read(from: number, to: number): boolean {
    if (!this.isText || this.hasMark(from, to) || !this.tape.read(this.bytes, from, to) || this.tape.kind(0) !== OBJECT) return false;
    const { tape, values } = this;
    const [known, end] = [this.layout, tape.behind(0)];
    let count = 0;
    let isKnown = known !== undefined;
    for (let key = 1; key < end; key = tape.behind(key + 1)) {
      const expected = known?.keys[count];
      isKnown &&= expected !== undefined && tape.hasBytes(key, expected);
      values[count++] = key + 1;
    }
    if (!isKnown || known?.keys.length !== count) this.layout = this.layoutOf(count);
    return this.layout?.columns !== undefined;
  }

  column(name: string): number | undefined {
    const place = this.layout?.columns?.get(name);
    return place === undefined ? undefined : this.values[place];
  }

  has(name: string): boolean {
    return this.layout?.columns?.has(name) === true;
  }

  private hasMark(from: number, to: number): boolean {
    for (const mark of this.marks) if (mark.isBetween(from, to)) return true;
    return false;
  }

  /** The layout of the current record. */
  private layoutOf(count: number): Layout | undefined {
    const { tape, values, layouts } = this;
    const isSame = ({ keys }: Layout): boolean =>
      keys.length === count && keys.every((key, i) => tape.hasBytes((values[i] as number) - 1, key));
    const known = layouts.find(isSame);
    if (known !== undefined || layouts.length === MAX_LAYOUTS) return known;
    const names = values.slice(0, count).map(value => tape.text(value - 1));
    const layout = { keys: names.map(name => Buffer.from(name)), columns: columnsOf(names, this.settings) };
    layouts.push(layout);
    return layout;
  }
}

/** The columns by name; undefined if renaming fails or a record with these keys would be refused. */
function columnsOf(
  names: readonly string[],
  { columns, format, first }: Pick<LineSettings, 'columns' | 'format' | 'first'>,
): ReadonlyMap<string, number> | undefined {
  if (names.includes('__proto__')) return undefined;
  const record: DataRecord = { file: '', line: 1, value: Object.fromEntries(names.map((name, place) => [name, place])) };
  try {
    const renamed = renameColumns(record, columns);
    if (first) checkSameFormat(renamed, format, first);
    return new Map(Object.entries(renamed.value).map(([name, place]) => [name, Number(place)]));
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}
