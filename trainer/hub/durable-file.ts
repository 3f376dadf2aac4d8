/** Files that appear complete or not at all: written to a temporary name in the same folder, flushed, then renamed. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * `write` fills the temporary file; an older file under `path` stays until it is complete.
 * @throws the error of `write` or of the disk; nothing is left behind then
 */
export async function writeDurably(
  path: string,
  write: (handle: FileHandle) => Promise<void>,
  { mode }: { readonly mode?: number } = {},
): Promise<void> {
  const temporary = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
  const handle = await open(temporary, 'wx', mode);
  try {
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

export const writeTextFile = (path: string, text: string): Promise<void> => writeDurably(path, handle => handle.writeFile(text));

/** For this user alone. */
export const writePrivateFile = (path: string, text: string): Promise<void> =>
  writeDurably(path, handle => handle.writeFile(text), { mode: 0o600 });

export const writeJson = (path: string, value: unknown): Promise<void> => writeTextFile(path, `${JSON.stringify(value, null, 2)}\n`);

/** Makes names in a folder durable (a rename, for one); Windows cannot open folders and does not need it. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
