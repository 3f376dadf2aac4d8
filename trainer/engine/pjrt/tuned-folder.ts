/** XLA's autotuning results on disk, one small file per kernel, in a folder for each device and its libraries. XLA only adds files. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { pruneFiles, removeLongestUnused } from './program-cache.ts';

/**
 * Size limit; beyond it, the least recently used files are removed. A result takes a few kilobytes, so this is more than one device ever
 * needs.
 */
const MAX_BYTES = 64 * 2 ** 20;

/**
 * Creates the folder of a device and the libraries that it was tuned with, and limits the total size of this folder and its neighbors to
 * `maxBytes`.
 * @returns undefined if it cannot be written, so that each run tunes anew
 */
export async function tunedFolder(
  cacheDir: string,
  { plugin, device }: { readonly plugin: string; readonly device: string },
  maxBytes = MAX_BYTES,
): Promise<string | undefined> {
  const all = path.join(cacheDir, 'tuned');
  const name = createHash('sha256').update(`${plugin} ${device}`).digest('hex').slice(0, 16);
  const folder = path.join(all, name);
  try {
    await mkdir(folder, { recursive: true });
    // Records the last use.
    await utimes(folder, new Date(), new Date());
  } catch {
    return undefined;
  }
  // Another process may write or remove files meanwhile: then the next engine prunes.
  await pruneAll(all, name, maxBytes).catch(() => undefined);
  return folder;
}

async function pruneAll(all: string, name: string, maxBytes: number): Promise<void> {
  const own = await pruneFiles(path.join(all, name), maxBytes);
  await pruneOthers(all, name, maxBytes - own);
}

/** Removes folders of other devices and of older libraries, least recently used first, until the rest fit. */
async function pruneOthers(all: string, own: string, maxBytes: number): Promise<void> {
  const others = (await readdir(all, { withFileTypes: true })).filter(entry => entry.isDirectory() && entry.name !== own);
  const folders = await Promise.all(
    others.map(async ({ name }) => {
      const folder = path.join(all, name);
      const files = await readdir(folder);
      const sizes = await Promise.all(files.map(async file => (await stat(path.join(folder, file))).size));
      return { path: folder, bytes: sizes.reduce((sum, size) => sum + size, 0), usedAt: (await stat(folder)).mtimeMs };
    }),
  );
  await removeLongestUnused(folders, maxBytes);
}
