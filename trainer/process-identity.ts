/** Which process holds a lock: by its number and when it started, so that a number that is used again deceives nobody. */
import { readFileSync } from 'node:fs';
import { readRegularTextSync } from './regular-file.ts';

/** A lock holds two numbers. */
const MAX_LOCK_BYTES = 4096;

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

/** Who wrote this lock file, alive or not; undefined where it is not there or no lock. */
export function lockHolder(file: string): ProcessIdentity | undefined {
  try {
    const found = JSON.parse(readRegularTextSync(file, MAX_LOCK_BYTES)) as Partial<ProcessIdentity> | number;
    // Locks of older versions hold the number alone.
    return typeof found === 'number' ? { pid: found } : { pid: Number(found.pid), startTime: found.startTime };
  } catch {
    return undefined;
  }
}
