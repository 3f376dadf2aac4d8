/** Reads the labels of a sample that may have any number of them. */
import type { DataError } from './data-error.ts';
import { describeValue } from './data-error.ts';
import { fieldError, labelName } from './read/record-fields.ts';
import type { DataRecord } from './types.ts';

/** The separator of labels in a text cell, as in CSV files. */
const SEPARATOR = '|';

export interface SeveralColumns {
  readonly label: string;
  /** Columns with 1 if a sample has the label, one for each label, in place of a single column. */
  readonly flags?: readonly string[];
}

/**
 * The names of a sample's labels: from a list of names or indices, a text of names separated by `|`, or one column per label.
 * @param labels the permitted names by index; an empty list permits any
 * @throws DataError (file, line, key)
 */
export function labelNames(record: DataRecord, { label: key, flags }: SeveralColumns, labels: readonly string[]): readonly string[] {
  if (flags) return flags.filter(flag => isSet(record, flag));
  const found = listOf(record, key).map(value => labelName({ ...record, value: { [key]: value } }, key, labels));
  const twice = found.find((name, at) => found.indexOf(name) !== at);
  if (twice !== undefined) throw fieldError(record, key, `the label "${twice}" twice`, 'Name each label of a sample once');
  return found;
}

function listOf(record: DataRecord, key: string): readonly unknown[] {
  const value = record.value[key];
  if (Array.isArray(value)) return value;
  if (typeof value === 'string') return value.split(SEPARATOR).flatMap(name => (name.trim() === '' ? [] : [name.trim()]));
  throw fieldError(
    record,
    key,
    `${describeValue(value)}, expected a list of labels, or a text with ${SEPARATOR} between them`,
    'Give every sample this key; a sample without a label has an empty list',
  );
}

function isSet(record: DataRecord, flag: string): boolean {
  const value = record.value[flag];
  if (value === 1 || value === true || value === '1' || value === 'true') return true;
  if (value === 0 || value === false || value === '0' || value === 'false' || value === '') return false;
  throw wrongFlag(record, flag, value);
}

const wrongFlag = (record: DataRecord, flag: string, value: unknown): DataError =>
  fieldError(record, flag, `${JSON.stringify(value) ?? 'missing'}, expected 0 or 1`, 'Write 1 where the sample has the label, else 0');
