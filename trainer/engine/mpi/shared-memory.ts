/** The shared memory through which MPICH connects the processes of a machine. */
import { readdirSync, readlinkSync, rmSync } from 'node:fs';

const FILES = '/proc/self/fd';
const SHARED_MEMORY = /^\/dev\/shm\/mpich_shm_/;

/**
 * Unlinks shared memory that all processes have opened, so that the system frees it when the last of them ends. MPICH does so only on an
 * orderly exit: each killed process would leave 2 MB, and a job that Slurm restarts under the same name would wait forever on the leftovers
 * of the first one.
 */
export function releaseSharedMemory(): void {
  for (const file of readdirSync(FILES)) {
    const target = targetOf(`${FILES}/${file}`);
    if (target !== undefined && SHARED_MEMORY.test(target)) rmSync(target, { force: true });
  }
}

/** Returns the target; undefined for a file that has been closed meanwhile. */
function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}
