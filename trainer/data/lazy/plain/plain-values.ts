/** Values of plain records. */
import { DataError } from '../../data-error.ts';
import { labelName } from '../../read/record-fields.ts';
import { LIST, TEXT } from './json-tape.ts';
import type { PlainRecord } from './plain-record.ts';

/** Returns undefined if a reader of records refuses a value. The record is then parsed, so that the error names its position. */
export function orParsed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** The name of a label, as `labelName` reads it. */
export const labelIn = (record: PlainRecord, labels: readonly string[]): string | undefined =>
  orParsed(() => labelName({ file: '', line: 1, value: { label: valueIn(record, 'label') } }, 'label', labels));

/** The value of a column, or a list of such values; undefined for objects, and if the record lacks the column. */
export function valueIn(record: PlainRecord, name: string): unknown {
  const { tape } = record;
  const entry = record.column(name);
  if (entry === undefined) return undefined;
  if (tape.kind(entry) >= TEXT) return tape.scalar(entry);
  if (tape.kind(entry) !== LIST) return undefined;
  const list: unknown[] = [];
  const end = tape.behind(entry);
  for (let at = entry + 1; at < end; at = tape.behind(at)) {
    if (tape.kind(at) < TEXT) return undefined;
    list.push(tape.scalar(at));
  }
  return list;
}

/** True if a column is a text that begins with a visible character. */
export function beginsText(record: PlainRecord, name: string): boolean {
  const { tape } = record;
  const entry = record.column(name);
  return entry !== undefined && tape.kind(entry) === TEXT && tape.firstByte(entry) !== 0;
}
