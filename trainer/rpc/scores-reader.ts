/** Reads pages of the files that a heatmap uses, for an editor on another machine. */
import path from 'node:path';
import { openInFolder } from '../files/regular-file.ts';
import type { ReadScoresParams, ScoresPage } from '../protocol/messages/score-pages.ts';
import { HEATMAP_FILES } from '../run/run-folder.ts';
import { DaemonError } from './daemon-error.ts';

/** Size of a page: base64 makes it a third longer, which is still below the largest frame. */
const PAGE_BYTES = 4 * 2 ** 20;

const SCORES = /\.scores\.safetensors(\.partial)?$/;

/**
 * Reads a page that starts at byte `from` of a file that still has `version`; at offset 0, it is sent only if the file changed.
 * @throws DaemonError 'not-scores' for a file that a heatmap does not use; ReadRefusedError for a link out of its folder, or an irregular
 * file
 */
export async function readScores({ path: file, from, version = '' }: ReadScoresParams): Promise<ScoresPage> {
  const name = path.basename(file);
  if (!HEATMAP_FILES.includes(name) && !SCORES.test(name))
    throw new DaemonError('not-scores', `${file} is neither a score file nor a file of a run`);
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
