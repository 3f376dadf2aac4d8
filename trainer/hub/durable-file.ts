/** Files that appear complete or not at all: written to a temporary name in the same folder, flushed, then renamed. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isRunning } from '../process-identity.ts';

/** What a file is written under until it is complete. */
const TEMPORARY = /^(.+)\.(\d+)-[0-9a-f]{8}\.tmp$/;

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

/**
 * Removes what killed processes left half written by `writeDurably`.
 * @param isOurs by the name that the file was to have
 */
export async function removeHalfWritten(folder: string, isOurs: (name: string) => boolean): Promise<void> {
  for (const found of await readdir(folder).catch((): string[] => [])) {
    const [, name = '', pid] = TEMPORARY.exec(found) ?? [];
    if (pid === undefined || !isOurs(name) || isRunning({ pid: Number(pid) })) continue;
    await rm(join(folder, found), { recursive: true, force: true });
  }
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
