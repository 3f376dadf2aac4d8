/** Makes a Parquet file from the ranges of the first row groups of another, so that any Parquet reader can read them. */
import { copyFile, open, rename, truncate } from 'node:fs/promises';
import { temporaryName } from '../../files/temporary-name.ts';
import { elementAt } from '../../narrow.ts';
import { MAGIC, writeFooter } from './parquet-footer.ts';
import { fieldsOf, listField, structOf, structsOf } from './parquet-thrift.ts';
import { openRemote, type RangedSource, spanOf } from './ranged-source.ts';

export interface Beginning {
  readonly path: string;
  readonly rows: number;
  /** Whether the file has all row groups. */
  readonly isWhole: boolean;
}

/** Field of the row groups in a file's metadata (FileMetaData of parquet.thrift). */
const ROW_GROUPS = 4;

/**
 * Writes a file with as many of the first row groups as hold `rows` rows, or with all.
 * @throws DataError if it is not a Parquet file; errors of the source
 */
export async function writeBeginning(source: RangedSource, rows: number): Promise<Beginning> {
  const { metadata, bytes: whole } = elementAt(await openRemote([source]), 0).footer;
  const { row_groups: all } = metadata;
  let [count, held] = [0, 0];
  while (count < all.length && (count === 0 || held < rows)) held += Number(all[count++]?.num_rows ?? 0);
  const groups = all.slice(0, count);
  const bytes = Math.max(MAGIC.length, ...groups.map(group => spanOf(group).end));
  const begun = await source.keepBeginning(bytes);
  const fields = fieldsOf(whole);
  const kept = listField(ROW_GROUPS, structsOf(fields, ROW_GROUPS).slice(0, count));
  const path = source.path.replace(/\.parquet$/, `.first-${count}.parquet`);
  const temporary = temporaryName(path);
  await copyFile(begun, temporary);
  await truncate(temporary, bytes);
  const handle = await open(temporary, 'a');
  try {
    await writeFooter(handle, structOf(fields.map(field => (field.id === ROW_GROUPS ? kept : field))));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
  return { path, rows: held, isWhole: count === all.length };
}
