/**
 * Makes the processes of a machine compile a program once: the first takes a lock, and the others wait and read its result from the cache.
 * This only saves work. A process that cannot wait, or has waited too long, compiles by itself. No process waits while it holds a lock.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isRunning, isSuspended, type ProcessIdentity } from '../../machine/process-identity.ts';
import { claimName, type LockOutcome, lockHolder, removeLeftovers, takeLock } from '../../machine/process-lock.ts';

export interface SharedCompilation<T> {
  /** The folder of the lock; each program has its own. */
  readonly lock: string;
  /** The program's name for the user. */
  readonly title: string;
  /** Returns the program from the cache. */
  readonly find: () => Promise<T | undefined>;
  /** Compiles the program and caches it. */
  readonly compile: () => Promise<T>;
  /** Receives one line for the user while another process takes long. */
  readonly log: (line: string) => void;
  /** Ends the waiting, but not a compilation. */
  readonly signal?: AbortSignal | undefined;
  readonly patience?: Patience;
}

export interface Patience {
  /** Time between two looks at the lock. */
  readonly lookMs: number;
  /** Time between two lines for the user. */
  readonly reportMs: number;
  /** Maximum wait: longer than the largest programs take, so the other process is stuck. */
  readonly maxMs: number;
}

const PATIENCE: Patience = { lookMs: 100, reportMs: 5000, maxMs: 10 * 60_000 };

/**
 * Returns a program, and whether it was found in the cache.
 * @throws errors of `compile`; an AbortError if the signal ends the waiting
 */
export async function compileOnce<T>(shared: SharedCompilation<T>): Promise<{ readonly program: T; readonly found: boolean }> {
  const { find, compile } = shared;
  const known = await find();
  if (known !== undefined) return { program: known, found: true };
  const release = await waitForTurn(shared);
  try {
    const made = await find();
    return made === undefined ? { program: await compile(), found: false } : { program: made, found: true };
  } finally {
    release?.();
  }
}

/**
 * Waits until no other process compiles the program. Returns the function that releases the lock; undefined if this process is to continue
 * without the lock.
 */
async function waitForTurn<T>({ lock, title, log, signal, patience = PATIENCE }: SharedCompilation<T>): Promise<(() => void) | undefined> {
  const startedAt = Date.now();
  let reportedAt = startedAt;
  let last: ProcessIdentity | undefined;
  /** A process that was seen twice: a claim that is only seen once may be that of a contender that gives way. */
  let compiling: ProcessIdentity | undefined;
  for (;;) {
    const found = lockHolder(lock);
    // It has finished. If the program is not in the cache now, it can't be cached, and there is nothing to wait for.
    if (!found && compiling && isRunning(compiling)) return undefined;
    const taken = found ? { holder: found } : tryToTake(lock);
    if (!taken) return undefined;
    if ('release' in taken) return taken.release;
    const { holder } = taken;
    if (holder.pid === process.pid) return undefined;
    const now = Date.now();
    const reason = reasonNotToWait(holder, now - startedAt, patience);
    if (reason !== undefined) {
      log(`process ${holder.pid}, which compiles ${title}, ${reason}: this process compiles it too`);
      return undefined;
    }
    if (now - reportedAt >= patience.reportMs) {
      reportedAt = now;
      log(`waiting for process ${holder.pid} to compile ${title}: ${Math.round((now - startedAt) / 1000)} s so far`);
    }
    compiling = last && claimName(last) === claimName(holder) ? holder : undefined;
    last = holder;
    await delay(patience.lookMs, undefined, { signal });
  }
}

function reasonNotToWait(holder: ProcessIdentity, waitedMs: number, { maxMs }: Patience): string | undefined {
  if (isSuspended(holder)) return 'is suspended';
  return waitedMs < maxMs ? undefined : `took ${Math.round(maxMs / 60_000)} minutes`;
}

/**
 * Takes the lock, and removes those of killed processes, because their programs may never be compiled again. Returns undefined if the cache
 * can't be written: then it can't share programs either.
 */
function tryToTake(lock: string): LockOutcome | undefined {
  const folder = path.dirname(lock);
  try {
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) removeLeftovers(path.join(folder, name));
    return takeLock(lock);
  } catch {
    return undefined;
  }
}
