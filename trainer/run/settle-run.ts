/** Records the end of a run whose process was killed and could not record it. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { removeHalfWritten } from '../files/durable-file.ts';
import { lockHolder } from '../machine/process-lock.ts';
import { STOPPED_BY_USER } from '../protocol/messages/job-messages.ts';
import { isActive } from '../protocol/run/run-activity.ts';
import { RUN_FILES } from '../protocol/run/run-files.ts';
import { isRunFile } from './run-folder.ts';
import { LOCK_FILE, takeRunLock, worksIn } from './run-lock.ts';
import { readRunState, StateKeeper } from './run-state.ts';

/**
 * Marks the run as stopped by the user, unless it ended by itself, and removes the lock and half-written files of its dead process. Does
 * nothing if another process works in the folder.
 */
export const settleStoppedRun = (runDir: string): Promise<void> => settle(runDir, { state: 'stopped', reason: STOPPED_BY_USER });

/** Marks the run as failed in the same way, after its processes were ended because one of them failed. */
export const settleFailedRun = (runDir: string, reason: string): Promise<void> => settle(runDir, { state: 'failed', reason });

async function settle(runDir: string, end: { readonly state: 'stopped' | 'failed'; readonly reason: string }): Promise<void> {
  const before = await readRunState(runDir);
  if (!existsSync(runDir) || (before !== undefined && isActive(before.state) && worksIn(runDir, before))) return;
  // A process that was killed before it wrote a state leaves a lock next to the state of the previous run.
  if (before !== undefined && !isActive(before.state) && lockHolder(path.join(runDir, LOCK_FILE)) !== undefined) return;
  const release = takeRunLock(runDir, () => undefined);
  try {
    for (const folder of [runDir, ...(await rankFolders(runDir))]) await removeHalfWritten(folder, isRunFile);
    const state = await readRunState(runDir);
    if (state !== undefined && isActive(state.state)) await new StateKeeper(runDir, state).update(end);
  } finally {
    release();
  }
}

/** The folders to which the other ranks of a run have written. */
async function rankFolders(runDir: string): Promise<string[]> {
  const all = path.join(runDir, RUN_FILES.ranks);
  return (await readdir(all).catch((): string[] => [])).map(name => path.join(all, name));
}
