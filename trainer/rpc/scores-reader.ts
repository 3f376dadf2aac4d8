/** The files that a heatmap is drawn from, in pages of bytes: for an editor on another machine. */
import path from 'node:path';
import { openInFolder } from '../files/regular-file.ts';
import type { ReadScoresParams, ScoresPage } from '../protocol/rpc-messages.ts';
import { HEATMAP_FILES } from '../run/run-folder.ts';
import { DaemonError } from './daemon-error.ts';

/** As base64 a third longer, which is below the largest frame. */
const PAGE_BYTES = 4 * 2 ** 20;

const SCORES = /\.scores\.safetensors(\.partial)?$/;

/**
 * A page from byte `from` on of a file that is still the one of `version`; from 0 on it is sent only where it is another one.
 * @throws DaemonError 'not-scores' for a file that no heatmap is drawn from; ReadRefusedError for one that is a link out of its folder, or no regular file
 */
export async function readScores({ path: file, from, version = '' }: ReadScoresParams): Promise<ScoresPage> {
  const name = path.basename(file);
  if (!HEATMAP_FILES.includes(name) && !SCORES.test(name))
    throw new DaemonError('not-scores', `${file} is no file of scores and none of a run's`);
  const missing: ScoresPage = { base64: '', size: 0, modifiedMs: 0, version: '' };
  const opened = await openInFolder(path.dirname(file), name).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (!opened) return missing;
  const { handle, stats: found } = opened;
  try {
    const now = `${found.ino}-${found.mtimeMs}-${found.size}`;
    const isWanted = from === 0 ? version !== now : version === now;
    const page = Buffer.alloc(isWanted ? Math.min(PAGE_BYTES, Math.max(0, found.size - from)) : 0);
    const { bytesRead } = page.length > 0 ? await handle.read(page, 0, page.length, from) : { bytesRead: 0 };
    return { base64: page.toString('base64', 0, bytesRead), size: found.size, modifiedMs: found.mtimeMs, version: now };
  } finally {
    await handle.close();
  }
}
