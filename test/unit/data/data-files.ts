/** Writes data files for one test to a new folder. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatasetSettings } from '../../../trainer/data/load/load-dataset.ts';
import { listDataFiles } from '../../../trainer/data/read/list-files.ts';
import { readRecords } from '../../../trainer/data/read/read-records.ts';
import type { TextSplit } from '../../../trainer/data/read/read-text.ts';
import type { DataRecord } from '../../../trainer/data/types.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

/** Default settings; tests change the ones they are about. */
export const datasetSettings: DatasetSettings = {
  format: 'auto',
  columns: {},
  labels: [],
  promptTemplate: '{text} ({labels}):',
  chat: 'auto',
  completionOnly: true,
  trainedTurns: 'all',
  truncation: 'end',
  textSplit: 'file',
  seed: 0,
};

export function writeData(name: string, content: string | Uint8Array): string {
  const file = join(makeTemporaryFolder(), name);
  writeFileSync(file, content);
  return file;
}

export async function readAll(paths: readonly string[], textSplit: TextSplit = 'file', maxSamples?: number): Promise<DataRecord[]> {
  const records: DataRecord[] = [];
  for await (const record of readRecords({ files: await listDataFiles(paths), textSplit, maxSamples })) records.push(record);
  return records;
}
