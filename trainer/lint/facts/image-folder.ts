/** Detects folders that hold images and nothing that a task of texts reads. */
import path from 'node:path';
import { isImageFile } from '../../data/image/image-samples.ts';
import { type FolderEntry, folderEntries } from '../../data/read/folder-entries.ts';
import { dataExtensions } from '../../protocol/data-extensions.ts';

/**
 * Maximum number of folders to read. The usual layout has one per class, possibly below one per split. An incomplete path may be the root
 * of the disk.
 */
const MAX_FOLDERS = 24;
const MAX_DEPTH = 2;

/**
 * True for a folder of images. Never rejects; false if the folders that were read have none, or if there are deeper folders, which may hold
 * texts.
 */
export async function isFolderOfImages(folder: string): Promise<boolean> {
  let hasImages = false;
  const folders = [{ at: folder, depth: 0 }];
  for (let i = 0; i < Math.min(folders.length, MAX_FOLDERS); i++) {
    const { at, depth } = folders[i] ?? { at: folder, depth: 0 };
    for (const { name, kind } of await entriesOf(at)) {
      if (name.startsWith('.')) continue;
      if (kind === 'folder' ? depth === MAX_DEPTH : kind === 'file' && isDataFile(name)) return false;
      if (kind === 'folder') folders.push({ at: path.join(at, name), depth: depth + 1 });
      else if (kind === 'file' && isImageFile(name)) hasImages = true;
    }
  }
  return hasImages;
}

const isDataFile = (name: string): boolean => dataExtensions.some(extension => name.toLowerCase().endsWith(extension));
const entriesOf = (folder: string): Promise<FolderEntry[]> => folderEntries(folder).catch(() => []);
