/** Writes files that appear complete or not at all: written to a temporary name in the same folder, flushed, then renamed. */
import { copyFile, type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readRegularFile } from './regular-file.ts';
import { leftoverName, temporaryName } from './temporary-name.ts';

/**
 * Writes a file; `write` fills the temporary file. An existing file under `path` stays until the new one is complete.
 * @throws errors of `write` or of the disk; nothing is left behind then
 */
export async function writeDurably(
  path: string,
  write: (handle: FileHandle) => Promise<void>,
  { mode: given }: { readonly mode?: number } = {},
): Promise<void> {
  const temporary = temporaryName(path);
  const mode = given ?? (await modeOf(path));
  const handle = await open(temporary, 'wx', mode);
  try {
    try {
      // A replaced file keeps its permissions, whatever the process's umask; some file systems have none.
      if (mode !== undefined) await handle.chmod(mode).catch(() => undefined);
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncFolder(dirname(path));
}

/**
 * Removes half-written files that killed processes left behind in `writeDurably`.
 * @param isOurs tests the final name of a file
 */
export async function removeHalfWritten(folder: string, isOurs: (name: string) => boolean): Promise<void> {
  for (const found of await readdir(folder).catch((): string[] => [])) {
    const name = await leftoverName(folder, found);
    if (name !== undefined && isOurs(name)) await rm(join(folder, found), { recursive: true, force: true });
  }
}

/** Copies a file that appears complete or not at all. */
export async function copyDurably(from: string, to: string): Promise<void> {
  const temporary = temporaryName(to);
  try {
    await copyFile(from, temporary);
    const handle = await open(temporary, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, to);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncFolder(dirname(to));
}

async function modeOf(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined ? undefined : found.mode & 0o777;
}

export const writeTextFile = (path: string, text: string): Promise<void> => writeDurably(path, handle => handle.writeFile(text));

/** Writes a file that is readable only by this user. */
export const writePrivateFile = (path: string, text: string): Promise<void> =>
  writeDurably(path, handle => handle.writeFile(text), { mode: 0o600 });

export const writeJson = (path: string, value: unknown): Promise<void> => writeTextFile(path, `${JSON.stringify(value, null, 2)}\n`);

/** Saves `text` next to `path` as `path.orig`, or `path.orig-2` … if another text has that name. Returns the name. */
export async function keepOriginal(path: string, text: string): Promise<string> {
  for (let count = 1; ; count++) {
    const copy = count === 1 ? `${path}.orig` : `${path}.orig-${count}`;
    const present = await readRegularFile(copy, Buffer.byteLength(text)).catch((error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' ? undefined : Buffer.alloc(0),
    );
    if (present === undefined) await writeTextFile(copy, text);
    if (present === undefined || present.equals(Buffer.from(text))) return copy;
  }
}

/** Makes names in a folder durable, for example after a rename; Windows cannot open folders and does not need it. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
