/**
 * Evidence from the kernel and from memory figures about the death of a process: SIGKILL alone does not show who sent it. Linux only.
 */
import os from 'node:os';
import { groupFolders, groupMemory, type ReadText, readTextOrEmpty } from '../machine/control-group.ts';

export interface MemoryEvidence {
  /** Processes that the kernel killed for lack of memory since the watch started, in our own control group if there is one. */
  readonly oomKills: number;
  /** Resident memory of the process at the last check. */
  readonly rssBytes: number;
  /** The limit: the machine's memory, or that of our control group. */
  readonly limitBytes: number;
}

export interface MemoryWatch {
  /** Reads the kernel's counter again. */
  evidence(): MemoryEvidence;
  stop(): void;
}

export interface MemoryWatchParams {
  readonly pid: number;
  readonly readText?: ReadText;
  readonly totalBytes?: number;
}

/** Interval between checks: fast enough to notice memory that grows by gigabytes per second. A check costs about 20 µs. */
const INTERVAL_MS = 1000;
/** Share of the limit: if the last check saw at least this much in use, memory ran out. */
const NEAR_LIMIT = 0.85;

export const isOutOfMemory = ({ oomKills, rssBytes, limitBytes }: MemoryEvidence): boolean =>
  oomKills > 0 || rssBytes > NEAR_LIMIT * limitBytes;

export function watchMemory({ pid, readText = readTextOrEmpty, totalBytes = os.totalmem() }: MemoryWatchParams): MemoryWatch {
  const before = countOomKills(readText);
  const limitBytes = Math.min(totalBytes, groupMemory(readText).limitBytes);
  let rssBytes = 0;
  const look = (): void => {
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readText(`/proc/${pid}/status`))?.[1];
    if (kibibytes !== undefined) rssBytes = Number(kibibytes) * 1024;
  };
  look();
  const timer = setInterval(look, INTERVAL_MS).unref();
  return {
    evidence: () => ({ oomKills: Math.max(0, countOomKills(readText) - before), rssBytes, limitBytes }),
    stop: () => clearInterval(timer),
  };
}

/** Returns the counter of our control group, or of the whole machine if it has none. */
function countOomKills(readText: ReadText): number {
  const files = groupFolders(readText).flatMap(folder => [`${folder}/memory.events`, `${folder}/memory.oom_control`]);
  for (const file of [...files, '/proc/vmstat']) {
    const count = /^oom_kill (\d+)$/m.exec(readText(file))?.[1];
    if (count !== undefined) return Number(count);
  }
  return 0;
}
