/** Empty folders for the tests of one file. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const temporary: string[] = [];

/** An empty folder that is removed after the file's tests. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rowtune-test-'));
  temporary.push(folder);
  return folder;
}

/** Removes the folders of this file's tests; called once for each file, whatever modules files share. */
export const removeTemporaryFolders = async (): Promise<void> => {
  await Promise.all(temporary.splice(0).map(folder => rm(folder, { recursive: true, force: true })));
};
