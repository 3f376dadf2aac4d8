/** Identifies a process by its id, its start time and the boot, so that a reused process id is not mistaken for it. */
import { readFileSync } from 'node:fs';
import { codeOf } from '../protocol/error-facts.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Linux: clock ticks from boot to the start of the process; absent elsewhere. */
  readonly startTime?: string;
  /** Linux: the first digits of the random id of this boot; absent elsewhere. */
  readonly bootId?: string;
}

export const ownIdentity = (): ProcessIdentity => ({ pid: process.pid, startTime: statOf(process.pid)?.startTime, bootId: bootId() });

export function isRunning({ pid, startTime, bootId: boot }: ProcessIdentity): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  if (boot !== undefined && bootId() !== undefined && boot !== bootId()) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (codeOf(error) !== 'EPERM') return false;
  }
  const found = statOf(pid);
  // A zombie has ended, but its parent has not collected it yet.
  return found?.state !== 'Z' && (startTime === undefined || found?.startTime === startTime);
}

/** Returns true for a process that is stopped by SIGSTOP or a debugger: it is alive but unresponsive. */
export const isSuspended = ({ pid }: ProcessIdentity): boolean => ['T', 't'].includes(statOf(pid)?.state ?? '');

/** Returns the CPU time of a process in milliseconds, in ticks of ten; undefined if the system does not provide it. */
export const processorTime = (pid: number): number | undefined => statOf(pid)?.processorMs;

interface ProcessStat {
  readonly state: string;
  readonly startTime: string | undefined;
  readonly processorMs: number;
}

/** Linux reports CPU time here in hundredths of a second, whatever its clock. */
const TICK_MS = 10;

/** Reads fields 3, 14, 15 and 22 of /proc/PID/stat, counted from the end of the name, which may contain spaces and brackets. */
function statOf(pid: number): ProcessStat | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state, startTime: fields[18], processorMs: TICK_MS * (Number(fields[10]) + Number(fields[11])) };
  } catch {
    return undefined;
  }
}

let boot: string | undefined;

function bootId(): string | undefined {
  try {
    boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8);
  } catch {
    // Not Linux: the process id alone has to do.
  }
  return boot;
}
