/** Keeps a folder of cached files below a size. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface FolderBounds {
  /** Matches the names that may be removed: a cache folder may hold other programs' files. */
  readonly own: RegExp;
  readonly maxBytes: number;
}

/** Removes the least recently used files until the others fit. A use updates the file's time. */
export async function pruneFolder(folder: string, { own, maxBytes }: FolderBounds): Promise<void> {
  const names = (await readdir(folder)).filter(name => own.test(name));
  const files = await Promise.all(
    names.map(async name => {
      const path = join(folder, name);
      const { size = 0, mtimeMs = 0 } = await stat(path).catch(() => ({ size: 0, mtimeMs: 0 }));
      return { path, size, mtimeMs };
    }),
  );
  let bytes = files.reduce((sum, { size }) => sum + size, 0);
  for (const { path, size } of files.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
    if (bytes <= maxBytes) return;
    await rm(path, { force: true });
    bytes -= size;
  }
}
