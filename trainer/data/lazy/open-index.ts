/** The positions of the samples of large data: from the cache, or found in a pass over the files. */
import { join } from 'node:path';
import { messageOf } from '../../protocol/error-facts.ts';
import type { DataFile } from '../read/list-files.ts';
import type { LargeData } from '../tokens/large-data.ts';
import type { FindParams } from './find-params.ts';
import { findSamples } from './find-samples.ts';
import { fileIndex, findIndex, type IndexWriter, type LineIndex, memoryIndex } from './line-index.ts';

const INDEXED: ReadonlySet<string> = new Set(['.jsonl', '.ndjson', '.json', '.csv', '.tsv']);
/** Extensions of files whose samples are copied into the cache. */
const COPIED: ReadonlySet<string> = new Set(['.parquet', '.arrow']);

/** True if the samples of files are read from copies. */
export const areCopied = (files: readonly DataFile[]): boolean => files.some(({ extension }) => COPIED.has(extension));

/** Returns the reason why the samples of files cannot be read by position, judging by file names; undefined if they can. */
export function reasonFilesDecide(files: readonly DataFile[]): string | undefined {
  const other = files.find(({ extension }) => !INDEXED.has(extension) && !COPIED.has(extension));
  if (other) return `${other.file} is not JSON Lines, a list of JSON, a table, Parquet or Arrow, whose samples can be read one by one`;
  return new Set(files.map(({ file }) => file)).size < files.length ? 'a file is listed twice' : undefined;
}

export interface IndexPlace {
  /** The fingerprint of the data and of the settings that decide which samples it has. */
  readonly key: string;
  /** Whether the cache can be written. */
  readonly isCached: boolean;
}

/**
 * Opens the index of the data.
 * @param finding returns how to find the samples; called if they are not in the cache
 * @throws as `findSamples` does
 */
export async function openIndex(
  finding: () => FindParams | Promise<FindParams>,
  { key, isCached }: IndexPlace,
  large: LargeData,
): Promise<LineIndex> {
  const folder = isCached ? join(large.cacheDir, `${key}.places`) : undefined;
  const known = folder === undefined ? undefined : await findIndex(folder, large.log);
  return known ?? findSamples(await finding(), await writerIn(folder, large));
}

async function writerIn(folder: string | undefined, { log }: LargeData): Promise<IndexWriter> {
  if (folder === undefined) return memoryIndex();
  try {
    return await fileIndex(folder);
  } catch (error) {
    log('warning', `sample positions are kept in memory, because the cache cannot be written: ${messageOf(error)}`);
    return memoryIndex();
  }
}
