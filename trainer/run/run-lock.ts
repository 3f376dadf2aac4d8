/** One process at a time works in a run folder. A lock names its process and when that started, so that a reused pid deceives nobody. */
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isRunning, lockHolder, ownIdentity } from '../process-identity.ts';
import { RunError } from './run-error.ts';

export const LOCK_FILE = 'lock';

/**
 * @param say is told where the lock of a dead process is taken over
 * @returns gives the lock back
 * @throws RunError 'run-busy' where another process works in the folder
 */
export function takeRunLock(runDir: string, say: (message: string) => void): () => void {
  const file = path.join(runDir, LOCK_FILE);
  // The second attempt follows a stale lock; where that fails too, another process was quicker.
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(file, JSON.stringify(ownIdentity()), { flag: 'wx' });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = lockHolder(file);
    if (holder && isRunning(holder)) throw busy(runDir, `process ${holder.pid}`);
    say(`took over the lock of a process that is gone${holder ? ` (${holder.pid})` : ''}`);
    rmSync(file, { force: true });
  }
  throw busy(runDir, 'another process');
}

const busy = (runDir: string, who: string): RunError =>
  new RunError('run-busy', `${who} is at work in ${runDir}`, 'Wait for it, stop it, or choose another output_dir');
