/** One process at a time works in a run folder. */
import path from 'node:path';
import { takeLock } from '../machine/process-lock.ts';
import { RunError } from '../run-error.ts';

export const LOCK_FILE = 'lock';

/**
 * @param say is told where the lock of a dead process is taken over
 * @returns gives the lock back
 * @throws RunError 'run-busy' where another process works in the folder
 */
export function takeRunLock(runDir: string, say: (message: string) => void): () => void {
  const lock = takeLock(path.join(runDir, LOCK_FILE));
  if ('holder' in lock)
    throw new RunError(
      'run-busy',
      `process ${lock.holder.pid} is at work in ${runDir}`,
      'Wait for it, stop it, or choose another output_dir',
    );
  for (const { pid } of lock.takenFrom) say(`took over the lock of process ${pid}, which has ended`);
  return lock.release;
}
