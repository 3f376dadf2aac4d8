/** A small disk in memory, mounted on a folder, that tests can fill. Needs root. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '../../../trainer/protocol/error-facts.ts';

export interface SmallDisk {
  /** Fills the disk completely. */
  fill(): void;
  /** Removes the file that fills the disk. */
  free(): void;
  unmount(): void;
}

const FILLER = 'filler';
const CHUNK = Buffer.alloc(4096);

/** @param options of the mount, such as size=64k */
export function mountSmallDisk(folder: string, options: string): SmallDisk {
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'rowtune-test', folder], { stdio: 'pipe' });
  const filler = join(folder, FILLER);
  return {
    fill() {
      const file = openSync(filler, 'a');
      try {
        while (writeSync(file, CHUNK) > 0);
      } catch (error) {
        if (codeOf(error) !== 'ENOSPC') throw error;
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(filler),
    // A process that has just ended may still use it.
    unmount: () => void execFileSync('umount', ['-l', folder], { stdio: 'pipe' }),
  };
}

/** Returns why a disk cannot be mounted here; undefined if it can. */
export function whyNoSmallDisk(folder: string): string | undefined {
  try {
    mountSmallDisk(folder, 'size=64k').unmount();
    return undefined;
  } catch (error) {
    return `a disk can't be mounted here: ${error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error)}`;
  }
}
