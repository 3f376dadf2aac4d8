/** The folders of a run's checkpoints: lists, removes and sets them aside, and cleans up after killed processes. */
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { recoverFolders } from '../../files/durable-folder.ts';
import { codeOf } from '../../protocol/error-facts.ts';
import { CHECKPOINT_NAME, RUN_FILES } from '../../protocol/run/run-files.ts';

/** Prefix of an unreadable checkpoint, which keeps its files under this name until a checkpoint of the same step is written. */
const DAMAGED = 'damaged-';

const checkpointsFolder = (runDir: string): string => path.join(runDir, RUN_FILES.checkpoints);

export const checkpointFolder = (runDir: string, step: number): string =>
  path.join(checkpointsFolder(runDir), `step-${String(step).padStart(6, '0')}`);

export interface CheckpointFolder {
  readonly step: number;
  readonly folder: string;
}

/** Complete checkpoints of a run, oldest first. @throws the disk error: an unreadable folder is not an empty one */
export async function listCheckpoints(runDir: string): Promise<CheckpointFolder[]> {
  const parent = checkpointsFolder(runDir);
  return (await namesIn(parent))
    .filter(name => CHECKPOINT_NAME.test(name))
    .map(name => ({ step: Number(name.slice('step-'.length)), folder: path.join(parent, name) }))
    .sort((a, b) => a.step - b.step);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Deletes the oldest checkpoints beyond the limit, but never those in `keep`. */
export async function pruneCheckpoints(runDir: string, limit: number, keep: ReadonlySet<number>): Promise<void> {
  const all = await listCheckpoints(runDir);
  const old = all.slice(0, Math.max(0, all.length - limit));
  for (const { step, folder } of old) if (!keep.has(step)) await removeCheckpoint(folder);
}

/** Deletes a checkpoint. Renames it first: a half-deleted checkpoint must not look complete. */
export async function removeCheckpoint(folder: string): Promise<void> {
  const gone = path.join(path.dirname(folder), `.${path.basename(folder)}.${process.pid}.gone`);
  await rename(folder, gone);
  await rm(gone, { recursive: true, force: true });
}

/** Sets a damaged checkpoint aside, so that it no longer conflicts with new ones, and returns its new path. */
export async function setAside(folder: string): Promise<string> {
  const aside = damagedName(folder);
  await rm(aside, { recursive: true, force: true });
  await rename(folder, aside);
  return aside;
}

/** Removes the set-aside copy of a checkpoint that is complete again. */
export const removeSetAside = (folder: string): Promise<void> => rm(damagedName(folder), { recursive: true, force: true });

const damagedName = (folder: string): string => path.join(path.dirname(folder), `${DAMAGED}${path.basename(folder)}`);

/** Removes half-written, half-swapped and half-deleted checkpoints of killed processes. Only for the holder of the run's lock. */
export async function removeLeftovers(runDir: string): Promise<void> {
  const parent = checkpointsFolder(runDir);
  await recoverFolders(parent, name => name.startsWith('step-'));
  for (const name of await namesIn(parent)) {
    // Older versions used names without the random part.
    if (/^\.step-\d+\.\d+\.(gone|tmp)$/.test(name)) await rm(path.join(parent, name), { recursive: true, force: true });
  }
}
