/** One process at a time works in a run folder. A lock names its process and when that started, so that a reused pid deceives nobody. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { RunError } from './run-error.ts';

export const LOCK_FILE = 'lock';

export interface ProcessIdentity {
  readonly pid: number;
  /** Linux: clock ticks from boot to the start of the process; elsewhere absent. */
  readonly startTime?: string;
}

export const ownIdentity = (): ProcessIdentity => ({ pid: process.pid, startTime: startTimeOf(process.pid) });

export function isRunning({ pid, startTime }: ProcessIdentity): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const found = startTimeOf(pid);
  return found !== ENDED && (startTime === undefined || found === startTime);
}

/** Instead of a start time: a process that has ended and that its parent has not looked after yet. */
const ENDED = 'ended';

/** Field 22 of /proc/PID/stat, counted behind the name, which may hold spaces and brackets. A zombie runs no more. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? ENDED : fields[18];
  } catch {
    return undefined;
  }
}

/** Who holds the lock of a run folder, dead or alive. */
function lockHolder(runDir: string): ProcessIdentity | undefined {
  try {
    const found = JSON.parse(readFileSync(path.join(runDir, LOCK_FILE), 'utf8')) as Partial<ProcessIdentity>;
    return { pid: Number(found.pid), startTime: found.startTime };
  } catch {
    return undefined;
  }
}

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
    const holder = lockHolder(runDir);
    if (holder && isRunning(holder)) throw busy(runDir, `process ${holder.pid}`);
    say(`took over the lock of a process that is gone${holder ? ` (${holder.pid})` : ''}`);
    rmSync(file, { force: true });
  }
  throw busy(runDir, 'another process');
}

const busy = (runDir: string, who: string): RunError =>
  new RunError('run-busy', `${who} is at work in ${runDir}`, 'Wait for it, stop it, or choose another output_dir');
