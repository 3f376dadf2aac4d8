/** The memory of this process, from Linux's accounting. */
import { readFileSync, writeFileSync } from 'node:fs';

export interface ProcessMemory {
  /** Current resident memory. */
  readonly residentBytes: number;
  /** Peak resident memory since the start, or since the last `resetPeak`. */
  readonly peakBytes: number;
  /**
   * Resident file pages: the code of Node and the engine. The system drops them when memory is short, and their amount depends on its
   * cache: 320 to 370 MB for TensorFlow.
   */
  readonly codeBytes: number;
}

/**
 * Reads the memory. If the system does not provide it, both values come from Node's resident set, and peaks between two calls are missed.
 */
export function processMemory(): ProcessMemory {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    return { residentBytes: kilobytes(status, 'VmRSS'), peakBytes: kilobytes(status, 'VmHWM'), codeBytes: kilobytes(status, 'RssFile') };
  } catch {
    const { rss } = process.memoryUsage();
    return { residentBytes: rss, peakBytes: rss, codeBytes: 0 };
  }
}

/** Resets the peak to the current resident memory. @returns false if the system does not allow it */
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
