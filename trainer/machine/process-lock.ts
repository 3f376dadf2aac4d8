/**
 * A lock that one process at a time holds, and that ends with its process, even if that process is stopped or busy. Node has no flock, and
 * a single lock file can't be taken over without a race: between checking it and removing it, another process may have replaced it. So a
 * lock is a folder in which every contender puts a claim under its own name (process id, start time, boot), then checks for others. Anyone
 * can remove the claim of a dead process, because no other process will ever use its name. If two claim at the same time, at least the
 * later one sees the other and gives way. A claim records the folder it was put in: one that was copied along with its folder does not
 * count.
 */
import { lstatSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { codeOf } from '../protocol/error-facts.ts';
import { isRunning, ownIdentity, type ProcessIdentity } from './process-identity.ts';

/** Two simultaneous contenders both give way and try again; a claim that is still present after this many attempts belongs to a holder. */
const ATTEMPTS = 10;
const MAX_PAUSE_MS = 10;
/** Maximum path length; no system has longer paths. */
const MAX_PLACE_BYTES = 32_768;

export type LockOutcome =
  | { readonly holder: ProcessIdentity }
  | {
      readonly release: () => void;
      /** Processes that held the lock and ended without releasing it. */
      readonly takenFrom: readonly ProcessIdentity[];
    };

/** Locks of this process, which must not take one twice. */
const held = new Set<string>();

/** Takes a lock. @param lock its folder; the parent exists. @throws the disk's error, ENOTDIR if a file is in its place */
export function takeLock(lock: string): LockOutcome {
  const own = ownIdentity();
  // Resolved to the real path: through a link, it is the same lock.
  const folder = path.join(realpathSync(path.dirname(lock)), path.basename(lock));
  const claim = path.join(folder, claimName(own));
  if (held.has(claim)) return { holder: own };
  const takenFrom: ProcessIdentity[] = [];
  for (let attempt = 1; ; attempt++) {
    const other = tryClaim(folder, claim, takenFrom);
    if (other === undefined) {
      held.add(claim);
      return { takenFrom, release: () => release(folder, claim) };
    }
    if (attempt >= ATTEMPTS) return { holder: other };
    pause(Math.random() * MAX_PAUSE_MS);
  }
}

/** Returns the current holder; undefined if there is none. */
export function lockHolder(lock: string): ProcessIdentity | undefined {
  try {
    return claimsIn(lock).find(claim => isRunning(claim) && !isCopied(lock, claim));
  } catch {
    return undefined;
  }
}

/** Removes what holders that ended without releasing a lock left of it. A lock that is held, or being taken, stays. */
export function removeLeftovers(lock: string): void {
  try {
    for (const claim of claimsIn(lock)) if (!isRunning(claim)) rmSync(path.join(lock, claimName(claim)), { force: true });
    rmdirSync(lock);
  } catch {
    // It is in use, or another process has removed it.
  }
}

/**
 * Returns true if the folder of a lock is a copy, made while this process held the original. Its claim then names another folder, which
 * contains a different file as the claim. If there is nothing, the folder was moved, or this process knows it by another path, and the
 * claim counts.
 */
export function isCopied(lock: string, claim: ProcessIdentity): boolean {
  const name = claimName(claim);
  try {
    const here = lstatSync(path.join(lock, name), { bigint: true });
    if (!here.isFile() || here.size === 0n || here.size > MAX_PLACE_BYTES) return false;
    const there = lstatSync(path.join(readFileSync(path.join(lock, name), 'utf8'), name), { bigint: true });
    return here.ino !== there.ino || here.dev !== there.dev;
  } catch {
    return false;
  }
}

/** Returns undefined if there is no other claim; otherwise the other process, after removing the claim again. */
function tryClaim(folder: string, claim: string, takenFrom: ProcessIdentity[]): ProcessIdentity | undefined {
  placeClaim(folder, claim);
  for (const found of claimsIn(folder)) {
    const name = path.join(path.dirname(claim), claimName(found));
    if (name === claim) continue;
    const isCopy = isCopied(folder, found);
    if (isRunning(found) && !isCopy) {
      release(folder, claim);
      return found;
    }
    if (!isCopy) takenFrom.push(found);
    rmSync(name, { force: true });
  }
  return undefined;
}

/** Writes the claim, repeatedly, because a process that releases the lock may remove the folder meanwhile. */
function placeClaim(folder: string, claim: string): void {
  for (let attempt = 1; ; attempt++)
    try {
      makeFolder(folder);
      writeFileSync(claim, '');
      break;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || attempt >= ATTEMPTS) throw error;
    }
  try {
    writeFileSync(claim, folder);
  } catch {
    // The disk is full. An empty claim counts in any folder.
  }
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

/** Removes the claim, then the folder. Tries again if the disk fails once. */
function release(folder: string, claim: string): void {
  held.delete(claim);
  try {
    removeClaim(folder, claim);
  } catch (error) {
    // Another process has a claim in the folder, or has removed it.
    if (['ENOTEMPTY', 'ENOENT', 'EEXIST'].includes(codeOf(error) ?? '')) return;
    try {
      removeClaim(folder, claim);
    } catch {
      // What remains is the claim of a process that is about to end; it does not count after that.
    }
  }
}

function removeClaim(folder: string, claim: string): void {
  rmSync(claim, { force: true });
  rmdirSync(folder);
}

/** Returns the name of a process's claim in the folder of a lock. */
export const claimName = ({ pid, startTime = '', bootId = '' }: ProcessIdentity): string => `${pid}.${startTime}.${bootId}`;

function claimsIn(folder: string): ProcessIdentity[] {
  return readdirSync(folder).flatMap(name => {
    const [, pid, startTime, bootId] = /^(\d+)\.(\d*)\.([\da-f]*)$/.exec(name) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), startTime: startTime || undefined, bootId: bootId || undefined }];
  });
}

const pause = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
