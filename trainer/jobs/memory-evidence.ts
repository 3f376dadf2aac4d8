/** What the kernel and the memory figures say about the death of a process: SIGKILL alone does not tell who sent it. Linux only. */
import { readFileSync } from 'node:fs';
import os from 'node:os';

export interface MemoryEvidence {
  /** Processes that the kernel killed for memory since the watch began, in our own control group where there is one. */
  readonly oomKills: number;
  /** Resident memory of the process when it was last looked at. */
  readonly rssBytes: number;
  /** What it could have taken: the machine's memory, or the limit of our control group. */
  readonly limitBytes: number;
}

export interface MemoryWatch {
  /** Looks at the kernel's counter once more. */
  evidence(): MemoryEvidence;
  stop(): void;
}

export interface MemoryWatchParams {
  readonly pid: number;
  /** The text of a file; '' where it can't be read. */
  readonly readText?: (file: string) => string;
  readonly totalBytes?: number;
}

/** Memory that grows by gigabytes a second is seen, and a look costs some 20 µs. */
const INTERVAL_MS = 1000;
/** Where the last look saw this share of the limit taken, the memory ran out. */
const NEAR_LIMIT = 0.85;

export const isOutOfMemory = ({ oomKills, rssBytes, limitBytes }: MemoryEvidence): boolean =>
  oomKills > 0 || rssBytes > NEAR_LIMIT * limitBytes;

export function watchMemory({ pid, readText = readOrEmpty, totalBytes = os.totalmem() }: MemoryWatchParams): MemoryWatch {
  const before = countOomKills(readText);
  const limitBytes = Math.min(totalBytes, groupLimit(readText));
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

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Folders of our control group, of version 2 or 1; inside a container the group is the root of what is mounted. */
function groupFolders(readText: (file: string) => string): string[] {
  const lines = readText('/proc/self/cgroup').split('\n');
  const v1 = lines.find(line => /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:/.test(line))?.split(':')[2];
  const v2 = lines.find(line => line.startsWith('0::'))?.slice(3);
  return [
    ...(v1 === undefined ? [] : [`/sys/fs/cgroup/memory${v1}`, '/sys/fs/cgroup/memory']),
    ...(v2 === undefined ? [] : [`/sys/fs/cgroup${v2}`, '/sys/fs/cgroup']),
  ].map(folder => folder.replace(/\/$/, ''));
}

/** Of our control group; where it has no counter, of the whole machine. */
function countOomKills(readText: (file: string) => string): number {
  const files = groupFolders(readText).flatMap(folder => [`${folder}/memory.events`, `${folder}/memory.oom_control`]);
  for (const file of [...files, '/proc/vmstat']) {
    const count = /^oom_kill (\d+)$/m.exec(readText(file))?.[1];
    if (count !== undefined) return Number(count);
  }
  return 0;
}

function groupLimit(readText: (file: string) => string): number {
  for (const folder of groupFolders(readText))
    for (const name of ['memory.max', 'memory.limit_in_bytes']) {
      const bytes = Number.parseInt(readText(`${folder}/${name}`), 10);
      if (Number.isFinite(bytes) && bytes > 0) return bytes;
    }
  return Number.POSITIVE_INFINITY;
}
