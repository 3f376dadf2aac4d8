/**
 * The cache folder: `<cacheDir>/models/<org>--<name>/<commit>/…` (`datasets/` for data sets), the commit of each revision, and which
 * commits are complete.
 */
import { mkdir, readdir, rename, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readRegularText } from '../files/regular-file.ts';
import { fileSize } from '../format/model-config.ts';
import { takeLock } from '../machine/process-lock.ts';
import { HubError } from './hub-error.ts';

/** A file that is written last: its presence means that every file exists and is verified. */
const COMPLETE = '.complete';
/** Number of bytes to leave free on the disk. */
const SPARE_BYTES = 256 * 1024 * 1024;

const COMMIT_CHARACTERS = 40;

export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

/** The kinds of repositories, with their names in the cache and in the hub's API. */
export type RepoKind = 'models' | 'datasets';

export const repoFolder = (cacheDir: string, repo: string, kind: RepoKind = 'models'): string =>
  join(cacheDir, kind, repo.replace('/', '--'));

/** The file of a revision, whose name may contain slashes (`refs/pr/1`). */
const revisionFile = (folder: string, revision: string): string => join(folder, 'revisions', encodeURIComponent(revision));

/** The commit that a revision referred to in the newest download; undefined if there was none. */
export const knownCommit = async (folder: string, revision: string): Promise<string | undefined> =>
  isCommit(revision) ? revision : readCommit(revisionFile(folder, revision));

/** The folder of a complete earlier download, if there is one. */
export async function findComplete(folder: string, revision: string): Promise<string | undefined> {
  const commit = await knownCommit(folder, revision);
  if (commit === undefined) return undefined;
  const dir = join(folder, commit);
  return (await isComplete(dir)) ? dir : undefined;
}

export const isComplete = async (dir: string): Promise<boolean> => (await fileSize(join(dir, COMPLETE))) !== undefined;

/** Every complete download with its name on the hub; none if there is no cache. */
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

/** @throws HubError if the disk of `dir` does not have this many bytes and a reserve */
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
 * Runs `work` while no other process downloads into `dir`; takes over the lock of a dead process.
 * @throws HubError if another process is downloading
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
