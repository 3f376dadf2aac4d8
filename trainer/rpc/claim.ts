/** Which daemon owns a state folder: held by the operating system's knowledge of its process, whether it answers or not. */
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { removeHalfWritten, writePrivateFile } from '../files/durable-file.ts';
import { isSuspended, type ProcessIdentity } from '../machine/process-identity.ts';
import { lockHolder, takeLock } from '../machine/process-lock.ts';
import { DaemonError } from './daemon-error.ts';
import { type Discovery, discoveryPath, readDiscovery } from './discovery.ts';

/** Held for as long as its daemon lives: whoever has it owns the folder and its jobs.json. */
const LOCK = 'daemon.lock';
/** More than a file system keeps beside a name. */
const TEST_BYTES = 4096;

/**
 * Makes this process the daemon of the folder, before it reads or writes anything in it.
 * @param say hears where the folder of a dead daemon is taken over
 * @returns gives the folder back
 * @throws DaemonError 'daemon-running' where another one lives, whether it answers or not; the error of the disk
 */
export async function claimStateDir(stateDir: string, say: (message: string) => void): Promise<() => void> {
  const lock = takeLock(path.join(stateDir, LOCK));
  if ('holder' in lock) throw running(stateDir, lock.holder, await readDiscovery(stateDir));
  for (const { pid } of lock.takenFrom) say(`took over ${stateDir} from a daemon that has ended (process ${pid})`);
  try {
    // An address of a dead daemon leads to another program; a file half written by one is of no use.
    await rm(discoveryPath(stateDir), { force: true });
    await removeHalfWritten(stateDir, name => name === 'daemon.json' || name === 'jobs.json');
    return lock.release;
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** The process that owns the folder now. */
export const daemonOwner = (stateDir: string): ProcessIdentity | undefined => lockHolder(path.join(stateDir, LOCK));

function running(stateDir: string, { pid }: ProcessIdentity, found: Discovery | undefined): DaemonError {
  const port = found?.pid === pid ? found.port : undefined;
  return new DaemonError(
    'daemon-running',
    `a daemon already runs for ${stateDir}: process ${pid}${port === undefined ? '' : `, port ${port}`}`,
    {
      hint: 'Use it, or end it: rowtune daemon stop',
      details: { pid, port },
    },
  );
}

/**
 * A daemon that lives and can't be reached, and what to do: no second one is started beside it.
 * @param reason what came of the attempt
 */
export function unresponsive(stateDir: string, owner: ProcessIdentity, reason: string, hint?: string): DaemonError {
  const { pid } = owner;
  const what = `the daemon of ${stateDir} (process ${pid})`;
  if (isSuspended(owner))
    return new DaemonError('daemon-unresponsive', `${what} is suspended and answers nobody`, {
      hint: `Let it continue: kill -CONT ${pid}`,
      details: { pid },
    });
  return new DaemonError('daemon-unresponsive', `${what} is running, but can't be reached: ${reason}`, {
    hint: hint ?? `Try again, or end it: kill ${pid} (if that has no effect: kill -9 ${pid}). The next daemon takes up its queue`,
    details: { pid },
  });
}

/**
 * Writes and removes a file, so that whoever starts a daemon learns at once that it could not keep its jobs.
 * @throws DaemonError 'state-unwritable'
 */
export async function checkStateDir(stateDir: string): Promise<void> {
  const file = path.join(stateDir, `.write-test-${process.pid}`);
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await writePrivateFile(file, 'x'.repeat(TEST_BYTES));
    await rm(file, { force: true });
  } catch (error) {
    throw unwritable(stateDir, error);
  }
}

export const unwritable = (stateDir: string, error: unknown): DaemonError =>
  new DaemonError('state-unwritable', `the daemon's folder ${stateDir} can't be written: ${(error as Error).message}`, {
    hint: 'Free some space on its disk and make it writable, or set ROWTUNE_STATE to another folder',
    cause: error,
  });
