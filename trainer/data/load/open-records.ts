/** Reads the records of a recipe's files in one format, and the labels that occur in them. */
import { type DataProblems, noSample } from '../data-error.ts';
import { type ColumnNames, checkSameFormat, type DetectedFormat, detectFormat, quotedKeys, renameColumns } from '../detect-format.ts';
import { unreadColumns } from '../format-columns.ts';
import type { DataFile } from '../read/list-files.ts';
import { readRecords } from '../read/read-records.ts';
import type { TextSplit } from '../read/read-text.ts';
import { labelName } from '../read/record-fields.ts';
import type { DataFormat, DataRecord } from '../types.ts';

export interface RecordsSettings {
  readonly format: DataFormat | 'auto';
  readonly columns: ColumnNames;
  readonly textSplit: TextSplit;
  /** Whether binary columns stay bytes; if left out, they are read as text. */
  readonly bytes?: boolean;
}

export interface OpenedRecords {
  readonly records: AsyncGenerator<DataRecord>;
  readonly detected: DetectedFormat;
}

/** Detects the format from the first record, and checks the other records against it as they are read. */
export async function openRecords(
  files: readonly DataFile[],
  settings: RecordsSettings,
  problems: DataProblems,
  onBytes?: (bytes: number) => void,
): Promise<OpenedRecords> {
  const { format, columns, bytes } = settings;
  const source = readRecords({
    files,
    textSplit: settings.textSplit,
    ...(bytes && { bytes }),
    onProblem: problem => problems.add(problem),
    onBytes,
  });
  const start = await source.next();
  if (start.done === true) {
    problems.end();
    throw noSample(files);
  }
  const { first, detected } = await detect(start.value).catch(async error => {
    await source.return(undefined);
    throw error;
  });
  async function detect(record: DataRecord): Promise<{ first: DataRecord; detected: DetectedFormat }> {
    const renamed = renameColumns(record, columns);
    const detected = format === 'auto' ? detectFormat(renamed) : { format, reason: 'set in the recipe' };
    const unread = unreadColumns(renamed, detected.format);
    const reason = unread.length === 0 ? detected.reason : `${detected.reason}; not read: ${quotedKeys(unread)}`;
    return { first: renamed, detected: { ...detected, reason } };
  }
  async function* read() {
    try {
      // `next()` below takes the first one.
      yield first;
      yield first;
      for await (const given of source) {
        const record = problems.take(() => {
          const renamed = renameColumns(given, columns);
          if (format === 'auto') checkSameFormat(renamed, detected.format, first);
          return renamed;
        });
        if (record) yield record;
      }
    } finally {
      await source.return(undefined);
    }
  }
  const records = read();
  // A generator that never started would not close its source, and the file would stay open.
  await records.next();
  return { records, detected };
}

/** The names of the labels that occur, sorted, or the given names. All labels must be known before the first prompt can list them. */
export async function labelsOf(
  records: AsyncIterable<DataRecord>,
  given: readonly string[],
  problems: DataProblems,
): Promise<readonly string[]> {
  const names = new Set<string>();
  for await (const record of records) {
    const name = problems.take(() => labelName(record, 'label', given));
    if (name !== undefined) names.add(name);
  }
  return given.length > 0 ? given : [...names].sort();
}
