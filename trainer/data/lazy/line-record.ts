/** Turns a line of data into a record. */
import { type ColumnNames, checkSameFormat, renameColumns } from '../detect-format.ts';
import { parseRecord } from '../read/parse-record.ts';
import { type CsvTable, parseRow } from '../read/read-csv.ts';
import type { DataFormat, DataRecord } from '../types.ts';

/** Settings for turning a line into a record. */
export interface LineSettings {
  readonly columns: ColumnNames;
  readonly format: DataFormat;
  /** The first record of the data, whose format all others must have; undefined if the recipe sets the format. */
  readonly first: DataRecord | undefined;
}

/** The record on a nonempty line, or of a table. @throws DataError */
export function recordOf(
  file: string,
  line: number,
  text: string,
  { columns, format, first }: LineSettings,
  table: CsvTable | undefined,
): DataRecord {
  const record = renameColumns(
    { file, line, value: table ? parseRow(file, line, text, table) : parseRecord({ file, line, text }) },
    columns,
  );
  if (first) checkSameFormat(record, format, first);
  return record;
}
