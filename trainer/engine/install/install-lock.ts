/** Allows one installation at a time for each cache folder, across processes. */
import { setTimeout as delay } from 'node:timers/promises';
import { takeLock } from '../../machine/process-lock.ts';
import { EngineError } from '../engine.ts';

/** Longer than a slow connection takes for the CUDA wheels (about 3 GB); a longer installation is stuck. */
const LONGEST_WAIT_MS = 60 * 60_000;
const POLL_MS = 500;

/**
 * Runs `work` while holding the lock. Waits for another installation; takes over a lock whose process has ended.
 * @throws EngineError after an hour of waiting
 */
export async function withInstallLock<T>(lock: string, log: (line: string) => void, work: () => Promise<T>): Promise<T> {
  const started = Date.now();
  let hasLogged = false;
  for (;;) {
    const taken = takeLock(lock);
    if ('release' in taken)
      try {
        return await work();
      } finally {
        taken.release();
      }
    const { pid } = taken.holder;
    if (!hasLogged) log(`another install is running (process ${pid}); waiting for it`);
    hasLogged = true;
    if (Date.now() - started > LONGEST_WAIT_MS)
      throw new EngineError(`waited an hour for another install (process ${pid}); end it, or remove ${lock}`);
    await delay(POLL_MS);
  }
}
