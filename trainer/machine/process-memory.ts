/** What this process takes of the machine's memory, from Linux's own accounts. */
import { readFileSync, writeFileSync } from 'node:fs';

export interface ProcessMemory {
  /** Resident now. */
  readonly residentBytes: number;
  /** Highest since the start, or since the last `resetPeak`. */
  readonly peakBytes: number;
  /**
   * Of what is resident, pages that lie in files: the code of Node and of the engine. The system drops them where memory is short, and how
   * many are there depends on what it has cached: 320 to 370 MB of TensorFlow's.
   */
  readonly codeBytes: number;
}

/** Where the system keeps no such account, both are what Node knows of the resident set, and peaks between two looks are missed. */
export function processMemory(): ProcessMemory {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    return { residentBytes: kilobytes(status, 'VmRSS'), peakBytes: kilobytes(status, 'VmHWM'), codeBytes: kilobytes(status, 'RssFile') };
  } catch {
    const { rss } = process.memoryUsage();
    return { residentBytes: rss, peakBytes: rss, codeBytes: 0 };
  }
}

/** Lets the peak start again from what is resident now. @returns false where the system does not allow it */
export function resetPeak(): boolean {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
    return true;
  } catch {
    return false;
  }
}

function kilobytes(status: string, key: string): number {
  const found = new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status);
  if (!found) throw new Error(`${key} is not in /proc/self/status`);
  return Number(found[1]) * 1024;
}
