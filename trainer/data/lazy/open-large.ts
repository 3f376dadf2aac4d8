/** Opens the files of large data, of which samples are found before their tokens are made. */

import type { DataFile } from '../read/list-files.ts';
import { listDataFiles } from '../read/list-files.ts';
import { type OpenFiles, openFiles } from './lazy-examples.ts';
import { whyFilesDecide } from './open-index.ts';
import { NoPlacesError } from './record-ranges.ts';

export interface LargeInput {
  /** Files and folders. */
  readonly paths: readonly string[];
  /** Data of fewer bytes is tokenized first. */
  readonly lazyBytes: number;
  /** Why all samples of large data are tokenized first, where that is known without looking at them. */
  readonly whyFirst?: string | undefined;
}

/** Files of which all is tokenized before training. */
export interface Reason {
  readonly reason: string;
}

export interface LargeFiles {
  readonly files: readonly DataFile[];
  readonly totalBytes: number;
  /** Closed where samples are not read from them. */
  readonly open: OpenFiles;
}

/**
 * Returns what `find` makes of the files, the reason why all is tokenized first, or undefined for small data.
 * @param find returns undefined, or a reason, or samples that are read from the open files
 * @throws what `find` throws, but a NoPlacesError becomes a reason
 */
export async function openLarge<Found extends object>(
  { paths, lazyBytes, whyFirst }: LargeInput,
  find: (large: LargeFiles) => Promise<Found | Reason>,
): Promise<Found | Reason | undefined> {
  const files = await listDataFiles(paths);
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  if (totalBytes < lazyBytes) return undefined;
  const obstacle = whyFirst ?? whyFilesDecide(files);
  if (obstacle !== undefined) return { reason: obstacle };
  let open: OpenFiles | undefined;
  let isRead = false;
  try {
    open = openFiles(files);
    const found = await find({ files, totalBytes, open });
    isRead = !('reason' in found);
    return found;
  } catch (error) {
    if (error instanceof NoPlacesError) return { reason: error.message };
    throw error;
  } finally {
    if (!isRead) open?.close();
  }
}
