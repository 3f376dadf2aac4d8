/** Opens the files of large data, whose samples are found before they are tokenized. */

import type { DataFile } from '../read/list-files.ts';
import { listDataFiles } from '../read/list-files.ts';
import { type OpenFiles, openFiles } from './lazy-examples.ts';
import { reasonFilesDecide } from './open-index.ts';
import { NoPlacesError } from './record-ranges.ts';

export interface LargeInput {
  /** Files and folders. */
  readonly paths: readonly string[];
  /** Data with fewer bytes is tokenized first. */
  readonly lazyBytes: number;
  /** The reason why all samples of large data are tokenized first, if known without reading them. */
  readonly whyFirst?: string | undefined;
}

/** The reason why all files are tokenized before training. */
export interface Reason {
  readonly reason: string;
}

export interface LargeFiles {
  readonly files: readonly DataFile[];
  readonly totalBytes: number;
  /** The open files; closed if samples are not read from them. */
  readonly open: OpenFiles;
}

/**
 * Returns the result of `find`, the reason why all files are tokenized first, or undefined for small data.
 * @param find returns a reason, or samples that are read from the open files
 * @throws errors of `find`, except NoPlacesError, which becomes a reason
 */
export async function openLarge<Found extends object>(
  { paths, lazyBytes, whyFirst }: LargeInput,
  find: (large: LargeFiles) => Promise<Found | Reason>,
): Promise<Found | Reason | undefined> {
  const files = await listDataFiles(paths);
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  if (totalBytes < lazyBytes) return undefined;
  const obstacle = whyFirst ?? reasonFilesDecide(files);
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
