/** The cache folder: `<cacheDir>/models/<org>--<name>/<commit>/…` (`datasets/` for data sets), which commit a revision meant, and which commits are complete. */
import { mkdir, readdir, rename, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readRegularText } from '../files/regular-file.ts';
import { fileSize } from '../format/model-config.ts';
import { takeLock } from '../machine/process-lock.ts';
import { HubError } from './hub-error.ts';

/** Written last: its presence says that every file is there and verified. */
const COMPLETE = '.complete';
/** Left free for everything else on the disk. */
const SPARE_BYTES = 256 * 1024 * 1024;

const COMMIT_CHARACTERS = 40;

export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

/** Their name in the cache and in the interface of the hub. */
export type RepoKind = 'models' | 'datasets';

export const repoFolder = (cacheDir: string, repo: string, kind: RepoKind = 'models'): string =>
  join(cacheDir, kind, repo.replace('/', '--'));

/** Revisions may hold slashes (`refs/pr/1`). */
const revisionFile = (folder: string, revision: string): string => join(folder, 'revisions', encodeURIComponent(revision));

/** The commit that a revision meant in the newest download; undefined where there was none. */
export const knownCommit = async (folder: string, revision: string): Promise<string | undefined> =>
  isCommit(revision) ? revision : readCommit(revisionFile(folder, revision));

/** The folder of a complete earlier download, where there is one. */
export async function findComplete(folder: string, revision: string): Promise<string | undefined> {
  const commit = await knownCommit(folder, revision);
  if (commit === undefined) return undefined;
  const dir = join(folder, commit);
  return (await isComplete(dir)) ? dir : undefined;
}

export const isComplete = async (dir: string): Promise<boolean> => (await fileSize(join(dir, COMPLETE))) !== undefined;

/** Every complete download with its name on the hub; none where there is no cache. */
export async function listComplete(cacheDir: string): Promise<{ readonly name: string; readonly path: string }[]> {
  const names = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);
  const found: { name: string; path: string }[] = [];
  for (const repo of await names(join(cacheDir, 'models')))
    for (const commit of (await names(join(cacheDir, 'models', repo))).filter(isCommit)) {
      const path = join(cacheDir, 'models', repo, commit);
      if (await isComplete(path)) found.push({ name: repo.replace('--', '/'), path });
    }
  return found;
}

async function readCommit(path: string): Promise<string | undefined> {
  const text = await readRegularText(path, COMMIT_CHARACTERS).catch(() => undefined);
  return text !== undefined && isCommit(text) ? text : undefined;
}

export async function markComplete(dir: string): Promise<void> {
  await writeFile(join(dir, COMPLETE), '');
}

export async function rememberRevision(folder: string, revision: string, commit: string): Promise<void> {
  if (isCommit(revision)) return;
  const path = revisionFile(folder, revision);
  await mkdir(join(folder, 'revisions'), { recursive: true });
  await writeFile(`${path}.${process.pid}.tmp`, commit);
  await rename(`${path}.${process.pid}.tmp`, path);
}

/** @throws HubError when the disk of `dir` has not that many bytes and some to spare */
export async function requireSpace(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  const free = bavail * bsize;
  if (free < bytes + SPARE_BYTES) {
    const mb = (n: number): string => `${Math.ceil(n / 1e6)} MB`;
    throw new HubError(
      'disk',
      `${dir} has ${mb(free)} free, the download needs ${mb(bytes)} and ${mb(SPARE_BYTES)} to spare: free some space or choose another cache folder`,
    );
  }
}

/**
 * Runs `work` while no other process downloads into `dir`; a lock left by a process that is gone is taken over.
 * @throws HubError when another one does
 */
export async function withLock<T>(dir: string, work: () => Promise<T>): Promise<T> {
  const lock = takeLock(join(dir, '.lock'));
  if ('holder' in lock) throw new HubError('busy', `process ${lock.holder.pid} is downloading into ${dir}: wait for it, or end it`);
  try {
    return await work();
  } finally {
    lock.release();
  }
}
