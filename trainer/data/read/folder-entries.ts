/** The entries of a folder of data. A symbolic link counts as its target: the hub's own cache consists of such links. */
import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../data-error.ts';

export interface FolderEntry {
  readonly name: string;
  /** A link that leads nowhere is 'other', and so is what is neither. */
  readonly kind: 'folder' | 'file' | 'other';
}

/** No data set is deeper, and a link that leads back up has no end. The kernel would follow 40 links in a path. */
const MAX_DEPTH = 16;

/** Sorted by name. @throws DataError for a folder so deep below the one that is named that a link must lead in circles */
export async function folderEntries(folder: string, depth = 0): Promise<FolderEntry[]> {
  if (depth > MAX_DEPTH)
    throw new DataError({
      file: folder,
      problem: `lies more than ${MAX_DEPTH} folders deep`,
      advice: 'Take out the symbolic link that leads back up, or name a folder further down',
    });
  const entries = await readdir(folder, { withFileTypes: true });
  const found = await Promise.all(entries.map(async entry => ({ name: entry.name, kind: await kindOf(folder, entry) })));
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function kindOf(folder: string, entry: Dirent): Promise<FolderEntry['kind']> {
  const found = entry.isSymbolicLink() ? await stat(join(folder, entry.name)).catch(() => undefined) : entry;
  if (found?.isDirectory()) return 'folder';
  return found?.isFile() ? 'file' : 'other';
}
