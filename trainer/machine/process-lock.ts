/**
 * A lock that one process at a time holds, and that ends with its process, stopped or busy as it may be. Node has no flock, and a single
 * lock file can't be taken over without a race: between the look at it and its removal another process may have replaced it. So a lock is
 * a folder in which every contender puts a claim under a name of its own (process, start time, boot), then looks who else is there. A
 * claim of a dead process can be removed by anyone, as nobody else will ever use its name. Of two that claim at once at least the later
 * one sees the other, and gives way. A claim says in which folder it was put: one that was copied along with its folder counts for nothing.
 */
import { lstatSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { codeOf } from '../protocol/error-facts.ts';
import { isRunning, ownIdentity, type ProcessIdentity } from './process-identity.ts';

/** Two that claim at once both give way and try again; a claim that stays for so many looks is that of a holder. */
const ATTEMPTS = 10;
const MAX_PAUSE_MS = 10;
/** No system has longer paths. */
const MAX_PLACE_BYTES = 32_768;

export type LockOutcome =
  | { readonly holder: ProcessIdentity }
  | {
      readonly release: () => void;
      /** Processes that held it and have ended without giving it back. */
      readonly takenFrom: readonly ProcessIdentity[];
    };

/** Locks of this process: it must not take one twice. */
const held = new Set<string>();

/** @param lock its folder; the one around it exists. @throws the error of the disk, ENOTDIR where a file is in its place */
export function takeLock(lock: string): LockOutcome {
  const own = ownIdentity();
  // By its real place: through a link it is the same lock.
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

/** Who holds it now; undefined where nobody does. */
export function lockHolder(lock: string): ProcessIdentity | undefined {
  try {
    return claimsIn(lock).find(claim => isRunning(claim) && !isCopied(lock, claim));
  } catch {
    return undefined;
  }
}

/**
 * Whether the folder of a lock is a copy, made while this process held the original. Its claim names another folder, in which another file
 * is its claim. If nothing is there, the folder was moved, or is known to this process by another path, and the claim counts.
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

/** Undefined where the claim stands alone; else the other process, and the claim is gone again. */
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

/** Whoever gives the lock back may remove the folder meanwhile. */
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
    // The disk is full. An empty claim counts wherever it is.
  }
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

/** Removes the claim, then the folder. A disk that fails once is tried a second time. */
function release(folder: string, claim: string): void {
  held.delete(claim);
  try {
    removeClaim(folder, claim);
  } catch (error) {
    // Another process has a claim there, or has removed the folder.
    if (['ENOTEMPTY', 'ENOENT', 'EEXIST'].includes(codeOf(error) ?? '')) return;
    try {
      removeClaim(folder, claim);
    } catch {
      // What stays is the claim of a process that is about to end, which counts for nothing then.
    }
  }
}

function removeClaim(folder: string, claim: string): void {
  rmSync(claim, { force: true });
  rmdirSync(folder);
}

/** The name of a process's claim in the folder of a lock. */
export const claimName = ({ pid, startTime = '', bootId = '' }: ProcessIdentity): string => `${pid}.${startTime}.${bootId}`;

function claimsIn(folder: string): ProcessIdentity[] {
  return readdirSync(folder).flatMap(name => {
    const [, pid, startTime, bootId] = /^(\d+)\.(\d*)\.([\da-f]*)$/.exec(name) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), startTime: startTime || undefined, bootId: bootId || undefined }];
  });
}

const pause = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
