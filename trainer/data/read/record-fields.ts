/** Reads the fields of a record with checks: every failure is a DataError with file, line and key. */
import { listedKeys } from '../../protocol/text/listed-keys.ts';
import { DataError, describeValue, samplePlace } from '../data-error.ts';
import type { DataRecord } from '../types.ts';

/** The text under a key; empty text, or only white space, is an error. */
export function requiredText(record: DataRecord, key: string): string {
  const value = record.value[key];
  if (!Object.hasOwn(record.value, key)) throw missingField(record, key);
  if (typeof value !== 'string') throw fieldError(record, key, `${describeValue(value)}, expected a string`, 'Give every sample this key');
  if (value.trim() === '') throw fieldError(record, key, 'empty text', 'Fill it in, or remove the sample');
  return value;
}

function missingField(record: DataRecord, key: string): DataError {
  const keys = Object.keys(record.value);
  const has = keys.length === 0 ? 'no keys' : listedKeys(keys);
  return fieldError(
    record,
    key,
    `nothing, expected a string; the sample has ${has}`,
    `Give every sample this key, or name its column in the recipe: columns: {${key}: …}`,
  );
}

/** The text under a key, or '' if it is missing, null or empty. */
export function optionalText(record: DataRecord, key: string): string {
  const value = record.value[key];
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  throw fieldError(record, key, `${describeValue(value)}, expected a string`, 'Write it as text, or leave it out');
}

/**
 * The name of a sample's label. An integer, or a string of digits that is not a name itself, is an index into `names`; without names, it is
 * its own name. It is refused if any name consists of digits, because it could mean an index or an unknown label.
 */
export function labelName(record: DataRecord, key: string, names: readonly string[]): string {
  const value = record.value[key];
  const isIndex = typeof value === 'number' && Number.isInteger(value);
  if (typeof value === 'boolean') return checkedName(record, key, String(value), names);
  if (typeof value === 'number' && !isIndex)
    throw fieldError(
      record,
      key,
      `the number ${value}, expected a label (a string or an integer)`,
      'Write labels as names or whole numbers; an encoder predicts numbers by task: sequence_regression',
    );
  if (!isIndex && typeof value !== 'string') {
    throw fieldError(record, key, `${describeValue(value)}, expected a label (a string or an integer)`, 'Give every sample a label');
  }
  const text = String(value).trim();
  if (text === '') throw fieldError(record, key, 'an empty label', 'Fill it in, or remove the sample');
  if (names.length === 0) return text;
  const known = knownNames(names);
  if (known.all.has(text)) return text;
  if (text === HIDDEN_LABEL) throw hiddenLabel(record, key);
  if (/^\d+$/.test(text)) {
    if (known.hasNumbers)
      throw fieldError(
        record,
        key,
        `the label ${text}, expected one of ${names.join(', ')}: labels that are numbers are not counted from 0`,
        'List every label under data: labels, as words if the samples number them from 0 ("1 star"), or fix the sample',
      );
    const name = names[Number(text)];
    if (name !== undefined) return name;
    throw fieldError(record, key, `label ${text}, but labels names only 0 to ${names.length - 1}`, 'Add the missing name to data: labels');
  }
  return checkedName(record, key, text, names);
}

interface KnownNames {
  readonly all: ReadonlySet<string>;
  /** Whether a name consists of digits. */
  readonly hasNumbers: boolean;
}

const lists = new WeakMap<readonly string[], KnownNames>();

/** The names of a list that does not change, for quick comparison: there may be thousands of names and millions of samples. */
function knownNames(names: readonly string[]): KnownNames {
  const known = lists.get(names) ?? { all: new Set(names), hasNumbers: names.some(name => /^\d+$/.test(name)) };
  lists.set(names, known);
  return known;
}

/** The value in place of a label in the hub's test splits. */
const HIDDEN_LABEL = '-1';

/** The error for a sample that hides its label. */
const hiddenLabel = (record: DataRecord, key: string): DataError =>
  fieldError(record, key, `the label ${HIDDEN_LABEL}, which stands for none`, 'Take the validation part: test parts hide their labels');

/** @throws DataError for a value that stands for a hidden label */
export function checkLabelShown(record: DataRecord, key: string): void {
  if (String(record.value[key]).trim() === HIDDEN_LABEL) throw hiddenLabel(record, key);
}

/** Compares labels: '2' before '10', names alphabetically. */
export function byNumberOrName(a: string, b: string): number {
  const [x, y] = [Number(a), Number(b)];
  return Number.isFinite(x) && Number.isFinite(y) ? x - y : a < b ? -1 : Number(a > b);
}

export function fieldError(record: DataRecord, key: string, problem: string, advice: string): DataError {
  return new DataError({ ...samplePlace(record), key, problem, advice });
}

function checkedName(record: DataRecord, key: string, name: string, names: readonly string[]): string {
  if (names.length === 0 || names.includes(name)) return name;
  throw fieldError(record, key, `the label "${name}", expected one of ${names.join(', ')}`, 'Add it to data: labels, or fix the sample');
}
