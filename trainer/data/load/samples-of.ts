/** Reads the samples of files. The first record determines the columns; problems are collected until all records are read. */
import type { DataError, DataProblems } from '../data-error.ts';
import { type ColumnNames, renameColumns } from '../detect-format.ts';
import { type ReadSettings, readRecords } from '../read/read-records.ts';
import type { DataRecord } from '../types.ts';

export interface SamplesInput<Columns, Sample> extends Pick<ReadSettings, 'files' | 'onSkip' | 'tagged'> {
  readonly renames: ColumnNames;
  readonly problems: DataProblems;
  /**
   * Finds the columns in the first record: after renaming, and as given. Throws DataError if they are missing, because all records would
   * lack them.
   */
  readonly find: (record: DataRecord, given: DataRecord) => Columns;
  /** Throws DataError for a malformed record. */
  readonly read: (record: DataRecord, columns: Columns) => Sample;
}

/** @throws DataError for a first record that lacks columns; errors of other records are added to `problems` */
export async function* samplesOf<Columns, Sample extends object>({
  renames,
  problems,
  find,
  read,
  ...reading
}: SamplesInput<Columns, Sample>): AsyncGenerator<Sample & Pick<DataRecord, 'file' | 'line'>> {
  let columns: Columns | undefined;
  const onProblem = (problem: DataError): void => problems.add(problem);
  for await (const given of readRecords({ ...reading, textSplit: 'file', onProblem })) {
    const record = columns ? problems.take(() => renameColumns(given, renames)) : renameColumns(given, renames);
    if (record === undefined) continue;
    columns ??= find(record, given);
    const known = columns;
    const sample = problems.take(() => read(record, known));
    if (sample !== undefined) yield { ...sample, file: record.file, line: record.line };
  }
}
