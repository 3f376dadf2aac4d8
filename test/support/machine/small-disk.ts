/** A disk in memory that is mounted on a folder, to be filled. Needs root. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '../../../trainer/protocol/error-facts.ts';

export interface SmallDisk {
  /** Leaves no free byte. */
  fill(): void;
  /** Removes what filled it. */
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
    // A process that has just ended may still be in it.
    unmount: () => void execFileSync('umount', ['-l', folder], { stdio: 'pipe' }),
  };
}

/** Why there can be none here, or undefined. */
export function whyNoSmallDisk(folder: string): string | undefined {
  try {
    mountSmallDisk(folder, 'size=64k').unmount();
    return undefined;
  } catch (error) {
    return `a disk can't be mounted here: ${error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error)}`;
  }
}
