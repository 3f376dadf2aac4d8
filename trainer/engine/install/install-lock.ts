/** Lets one install run at a time for each cache folder, across processes. */
import { rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isRunning, lockHolder, ownIdentity } from '../../process-identity.ts';
import { EngineError } from '../engine.ts';

/** Longer than a slow line takes for the CUDA wheels (about 3 GB); an install that takes longer is stuck. */
const LONGEST_WAIT_MS = 60 * 60_000;
const POLL_MS = 500;

function tryLock(file: string): boolean {
  try {
    writeFileSync(file, JSON.stringify(ownIdentity()), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Runs `work` while holding the lock file. Waits for another install; a lock whose process is gone is taken over.
 * @throws EngineError after an hour of waiting
 */
export async function withInstallLock<T>(file: string, log: (line: string) => void, work: () => Promise<T>): Promise<T> {
  const started = Date.now();
  let told = false;
  while (!tryLock(file)) {
    const holder = lockHolder(file);
    if (holder === undefined || !isRunning(holder)) {
      rmSync(file, { force: true });
      continue;
    }
    if (!told) log(`another install is running (process ${holder.pid}); waiting for it`);
    told = true;
    if (Date.now() - started > LONGEST_WAIT_MS)
      throw new EngineError(`waited an hour for another install (process ${holder.pid}); end it, or remove ${file}`);
    await delay(POLL_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}
