/** Reads the result of a run that has ended. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { MAX_JSON_BYTES, readRegularText } from '../files/regular-file.ts';
import { RUN_FILES } from '../protocol/run/run-files.ts';

/** @returns the result, unchecked; undefined if there is none @throws the error of a file that cannot be read or is not JSON */
export async function readSummary(runDir: string): Promise<unknown> {
  const file = path.join(runDir, RUN_FILES.summary);
  return existsSync(file) ? JSON.parse(await readRegularText(file, MAX_JSON_BYTES)) : undefined;
}
