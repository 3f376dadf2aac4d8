/** Empty folders for the tests of one file. */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const temporary: string[] = [];

/** Creates an empty folder that is removed after the file's tests. */
export function makeTemporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rowtune-test-'));
  temporary.push(folder);
  return folder;
}

/** Returns the same as a promise, for callers that await it. */
export const temporaryFolder = async (): Promise<string> => makeTemporaryFolder();

/** Removes the folders of this file's tests; called once per file, even if files share modules. */
export const removeTemporaryFolders = async (): Promise<void> => {
  await Promise.all(temporary.splice(0).map(folder => rm(folder, { recursive: true, force: true })));
};
