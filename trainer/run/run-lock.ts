/** Ensures that only one process works in a run folder. */
import path from 'node:path';
import { isRunning, type ProcessIdentity } from '../machine/process-identity.ts';
import { isCopied, takeLock } from '../machine/process-lock.ts';
import { RunError } from '../run-error.ts';

export const LOCK_FILE = 'lock';

/**
 * Takes the lock.
 * @param say reports that the lock of a dead process was taken over
 * @returns a function that releases the lock
 * @throws RunError 'run-busy' if another process works in the folder
 */
export function takeRunLock(runDir: string, say: (message: string) => void): () => void {
  const lock = takeLock(path.join(runDir, LOCK_FILE));
  if ('holder' in lock) throw runBusy(runDir, lock.holder);
  for (const { pid } of lock.takenFrom) say(`took over the lock of process ${pid}, which has ended`);
  return lock.release;
}

export const runBusy = (runDir: string, { pid }: Pick<ProcessIdentity, 'pid'>): RunError =>
  new RunError('run-busy', `process ${pid} is using ${runDir}`, 'Wait for it, stop it, or choose another output_dir');

/** True if the process in a run's state is running, and works in this folder rather than in one from which the folder was copied. */
export const worksIn = (runDir: string, state: ProcessIdentity): boolean =>
  isRunning(state) && !isCopied(path.join(runDir, LOCK_FILE), state);
