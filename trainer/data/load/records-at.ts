/** Reads the records of some samples by position. */
import { DataProblems } from '../data-error.ts';
import { listDataFiles } from '../read/list-files.ts';
import type { DataFormat, DataRecord } from '../types.ts';
import { openRecords, type RecordsSettings } from './open-records.ts';

export type RecordPlace = Pick<DataRecord, 'file' | 'line' | 'element'>;

export interface FoundRecords {
  /** The records, in the order of the positions. */
  readonly records: readonly DataRecord[];
  readonly format: DataFormat;
}

const keyOf = ({ file, line, element }: RecordPlace): string => JSON.stringify([file, line, element]);

/**
 * Reads the files up to the last of the records. Malformed records between them were reported when the samples were read.
 * @throws DataError if there is no sample, RangeError if a position has none
 */
export async function recordsAt(
  paths: readonly string[],
  settings: RecordsSettings,
  places: readonly RecordPlace[],
): Promise<FoundRecords> {
  const wanted = new Map(places.map(place => [keyOf(place), place]));
  const found = new Map<string, DataRecord>();
  const { records, detected } = await openRecords(await listDataFiles(paths), settings, new DataProblems());
  for await (const record of records) {
    const key = keyOf(record);
    if (wanted.has(key)) found.set(key, record);
    if (found.size === wanted.size) break;
  }
  const recordAt = (place: RecordPlace): DataRecord => {
    const record = found.get(keyOf(place));
    if (record) return record;
    throw new RangeError(`${place.file} has changed since it was read: line ${place.line} has no sample any more`);
  };
  return { records: places.map(recordAt), format: detected.format };
}
