/** Records the end of a run whose process was killed and could not record it itself. */
import { existsSync } from 'node:fs';
import { removeHalfWritten } from '../files/durable-file.ts';
import { isRunning } from '../machine/process-identity.ts';
import { STOPPED_BY_USER } from '../protocol/job-messages.ts';
import { isActive } from '../protocol/run-activity.ts';
import { isRunFile } from './run-folder.ts';
import { takeRunLock } from './run-lock.ts';
import { readRunState, StateKeeper } from './run-state.ts';

/**
 * Marks the run as stopped by the user, and removes its lock and half-written files. Does nothing if the run ended by
 * itself or another process works in the folder.
 */
export const settleStoppedRun = (runDir: string): Promise<void> => settle(runDir, { state: 'stopped', reason: STOPPED_BY_USER });

/** The same of a run whose processes were ended because one of them failed. */
export const settleFailedRun = (runDir: string, reason: string): Promise<void> => settle(runDir, { state: 'failed', reason });

async function settle(runDir: string, end: { readonly state: 'stopped' | 'failed'; readonly reason: string }): Promise<void> {
  const before = await readRunState(runDir);
  if (!existsSync(runDir) || (before !== undefined && (!isActive(before.state) || isRunning(before)))) return;
  const release = takeRunLock(runDir, () => undefined);
  try {
    await removeHalfWritten(runDir, isRunFile);
    const state = await readRunState(runDir);
    if (state !== undefined && isActive(state.state)) await new StateKeeper(runDir, state).update(end);
  } finally {
    release();
  }
}
