/** The results of XLA's tuning on disk, one small file a kernel, in a folder for each device and its libraries. XLA only adds to it. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import { pruneFiles, removeLongestUnused } from './program-cache.ts';

/** Beyond this the longest unused leave. A result takes some kilobytes, so this is more than a device is ever tuned for. */
const MAX_BYTES = 64 * 2 ** 20;

/**
 * Makes the folder of a device and the libraries that it was tuned with, and leaves no more than `maxBytes` in it and its neighbors.
 * @returns undefined where it cannot be written, and each run tunes anew
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
    // The time of its last use.
    await utimes(folder, new Date(), new Date());
  } catch {
    return undefined;
  }
  // Another process may write or remove there meanwhile: then the next engine prunes.
  await pruneAll(all, name, maxBytes).catch(() => undefined);
  return folder;
}

async function pruneAll(all: string, name: string, maxBytes: number): Promise<void> {
  const own = await pruneFiles(path.join(all, name), maxBytes);
  await pruneOthers(all, name, maxBytes - own);
}

/** Removes folders of other devices and of older libraries, those that were not used for the longest time, until the others fit. */
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
