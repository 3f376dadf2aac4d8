/** Whether data has images, judging by the first sample of each file or folder. */
import { type ColumnNames, renameColumns } from '../detect-format.ts';
import { listDataFiles } from '../read/list-files.ts';
import { readRecords } from '../read/read-records.ts';
import { bringsImages } from './image-parts.ts';

/** @throws DataError for data that cannot be read */
export async function dataBringsImages(paths: readonly string[], columns: ColumnNames): Promise<boolean> {
  for (const one of paths)
    for await (const record of readRecords({ files: await listDataFiles([one]), textSplit: 'file', maxSamples: 1, bytes: true }))
      if (bringsImages(renameColumns(record, columns))) return true;
  return false;
}
