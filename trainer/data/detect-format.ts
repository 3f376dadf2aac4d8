/** Detects the format of a sample from its keys, renames columns, and checks that all samples have one format. */

import { closest, distance } from 'fastest-levenshtein';
import { namesOf } from '../catalog/entries.ts';
import { chatColumns } from '../protocol/recipe/column-roles.ts';
import { listedKeys } from '../protocol/text/listed-keys.ts';
import { DataError, samplePlace } from './data-error.ts';
import type { DataFormat, DataRecord } from './types.ts';

/** The keys that each format requires, in the order in which formats are tried: more specific formats come first. */
const formatKeys = {
  preference: ['chosen', 'rejected'],
  messages: ['messages'],
  sharegpt: ['conversations'],
  alpaca: ['instruction', 'output'],
  prompt_completion: ['prompt', 'completion'],
  text_label: ['text', 'label'],
  text: ['text'],
} as const satisfies Record<DataFormat, readonly string[]>;

const formatOrder = namesOf(formatKeys);

/** Our name of a key → its name in the data. */
export type ColumnNames = Readonly<Record<string, string>>;

export interface DetectedFormat {
  readonly format: DataFormat;
  /** The reason, for the log: 'the samples have the keys "text" and "label"'. */
  readonly reason: string;
}

/** Renames the columns to their expected names. @throws DataError (file, line, key) for a column that the sample lacks */
export function renameColumns(record: DataRecord, columns: ColumnNames): DataRecord {
  const renames = Object.entries(columns).filter(([ours, theirs]) => ours !== theirs);
  if (renames.length === 0) return record;
  const value: Record<string, unknown> = { ...record.value };
  for (const [, theirs] of renames) delete value[theirs];
  for (const [ours, theirs] of renames) {
    if (!Object.hasOwn(record.value, theirs)) throw missingColumn(record, ours, theirs);
    value[ours] = record.value[theirs];
  }
  return { ...record, value };
}

/** The format of a record whose columns have their expected names. @throws DataError if no format fits its keys */
export function detectFormat(record: DataRecord): DetectedFormat {
  const format = fittingFormat(record);
  if (format !== undefined)
    return { format, reason: `the samples have the key${plural(formatKeys[format])} ${quotedKeys(formatKeys[format])}` };
  const keys = Object.keys(record.value);
  const known = formatOrder.map(name => `${name} (${formatKeys[name].join(', ')})`).join('; ');
  throw new DataError({
    ...samplePlace(record),
    problem: `the keys ${keys.length === 0 ? 'are none' : quotedKeys(keys)}, expected those of one of: ${known}`,
    advice: `Rename them in the recipe, for example columns: ${shownColumns(keys)}`,
  });
}

function shownColumns(keys: readonly string[]): string {
  const columns = chatColumns(keys) ?? { text: keys[0] ?? 'body' };
  return `{${Object.entries(columns)
    .map(([ours, theirs]) => `${ours}: ${theirs}`)
    .join(', ')}}`;
}

/** @throws DataError for a record of a different format from `first` */
export function checkSameFormat(record: DataRecord, expected: DataFormat, first: DataRecord): void {
  const found = fittingFormat(record);
  if (found === expected) return;
  const missing = formatKeys[expected].find(key => !Object.hasOwn(record.value, key));
  const what = found === undefined || missing === undefined ? '' : `${found}, `;
  throw new DataError({
    ...samplePlace(record),
    key: missing,
    problem: `mixed data: this sample is ${what}unlike the first one (${first.file}:${first.line}), which is ${expected}`,
    advice: 'Keep one format in the data of one run, or set data: format',
  });
}

function fittingFormat({ value }: DataRecord): DataFormat | undefined {
  return formatOrder.find(format => formatKeys[format].every(key => Object.hasOwn(value, key)));
}

function missingColumn(record: DataRecord, ours: string, theirs: string): DataError {
  const keys = Object.keys(record.value);
  const near = keys.length === 0 ? '' : closest(theirs, keys);
  const isNear = near !== '' && distance(theirs, near) <= Math.max(2, theirs.length / 3);
  return new DataError({
    ...samplePlace(record),
    key: theirs,
    problem: `no such column${isNear ? `; did you mean "${near}"?` : ''}; the sample has ${keys.length === 0 ? 'no keys' : quotedKeys(keys)}`,
    advice: isNear
      ? `Set columns: {${ours}: ${near}} in the recipe`
      : `Correct columns: {${ours}: ${theirs}} in the recipe, or take samples with other columns out of the data`,
  });
}

/** Keys for a message: "text" and "label". */
export function quotedKeys(keys: readonly string[]): string {
  return keys.length === 2 ? keys.map(key => `"${key}"`).join(' and ') : listedKeys(keys);
}

function plural(values: readonly unknown[]): string {
  return values.length === 1 ? '' : 's';
}
