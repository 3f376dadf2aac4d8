/** Which process it is: by its number, when it started and in which boot, so that a number that is used again deceives nobody. */
import { readFileSync } from 'node:fs';
import { codeOf } from '../protocol/error-facts.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Linux: clock ticks from boot to the start of the process; elsewhere absent. */
  readonly startTime?: string;
  /** Linux: the first digits of the random number of this boot of the machine; elsewhere absent. */
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
  // A zombie has ended; its parent has not looked after it yet.
  return found?.state !== 'Z' && (startTime === undefined || found?.startTime === startTime);
}

/** True of a process that is held by SIGSTOP or a debugger: it lives, and answers nobody. */
export const isSuspended = ({ pid }: ProcessIdentity): boolean => ['T', 't'].includes(statOf(pid)?.state ?? '');

/** Milliseconds of processor time that a process has used, to a tick of ten; undefined where the system does not say. */
export const processorTime = (pid: number): number | undefined => statOf(pid)?.processorMs;

interface ProcessStat {
  readonly state: string;
  readonly startTime: string | undefined;
  readonly processorMs: number;
}

/** Linux counts processor time in hundredths of a second here, whatever its clock. */
const TICK_MS = 10;

/** Fields 3, 14, 15 and 22 of /proc/PID/stat, counted behind the name, which may hold spaces and brackets. */
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
    // Not Linux: a process number alone has to do.
  }
  return boot;
}
