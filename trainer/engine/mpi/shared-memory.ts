/** The shared memory through which MPICH connects the processes of a machine. */
import { readdirSync, readlinkSync, rmSync } from 'node:fs';

const FILES = '/proc/self/fd';
const SHARED_MEMORY = /^\/dev\/shm\/mpich_shm_/;

/**
 * Takes the name from shared memory that all processes have opened, as the system does when the last of them ends. MPICH does it only when they end in
 * order: each killed process would leave 2 MB, and a job that Slurm starts again has the same name, and would wait for ever in what the first one left.
 */
export function releaseSharedMemory(): void {
  for (const file of readdirSync(FILES)) {
    const target = targetOf(`${FILES}/${file}`);
    if (target !== undefined && SHARED_MEMORY.test(target)) rmSync(target, { force: true });
  }
}

/** Undefined for a file that has been closed meanwhile. */
function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}
