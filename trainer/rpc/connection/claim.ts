/** Decides which daemon owns a state folder, by checking whether its process is alive, regardless of whether it answers. */
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { removeHalfWritten, writePrivateFile } from '../../files/durable-file.ts';
import { isSuspended, type ProcessIdentity } from '../../machine/process-identity.ts';
import { lockHolder, takeLock } from '../../machine/process-lock.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { DaemonError } from '../daemon-error.ts';
import { type Discovery, discoveryPath, readDiscovery } from './discovery.ts';

/** The lock file, which a daemon holds while it lives: the holder owns the folder and its jobs.json. */
const LOCK = 'daemon.lock';
/** Size of a test write: larger than any of our lock files. */
const TEST_BYTES = 4096;

/**
 * Makes this process the daemon of the folder, before it reads or writes anything in it.
 * @param say is called when the folder of a dead daemon is taken over
 * @returns a function that releases the folder
 * @throws DaemonError 'daemon-running' if another daemon is alive, whether or not it answers; disk errors
 */
export async function claimStateDir(stateDir: string, say: (message: string) => void): Promise<() => void> {
  const lock = takeLock(path.join(stateDir, LOCK));
  if ('holder' in lock) throw running(stateDir, lock.holder, await readDiscovery(stateDir));
  for (const { pid } of lock.takenFrom) say(`took over ${stateDir} from a daemon that has ended (process ${pid})`);
  try {
    // The address of a dead daemon may now belong to another program; its half-written files are useless.
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
      hint: 'Use it, or stop it: rowtune daemon stop',
      details: { pid, port },
    },
  );
}

/**
 * The error for a live daemon that cannot be reached: no second one is started.
 * @param reason the result of the attempt
 */
export function unresponsive(stateDir: string, owner: ProcessIdentity, reason: string, hint?: string): DaemonError {
  const { pid } = owner;
  const what = `the daemon of ${stateDir} (process ${pid})`;
  if (isSuspended(owner))
    return new DaemonError('daemon-unresponsive', `${what} is suspended`, {
      hint: `Let it continue: kill -CONT ${pid}`,
      details: { pid },
    });
  return new DaemonError('daemon-unresponsive', `${what} is running, but can't be reached: ${reason}`, {
    hint: hint ?? `Try again, or end it: kill ${pid} (if that has no effect: kill -9 ${pid}). The next daemon takes up its queue`,
    details: { pid },
  });
}

/**
 * Writes and removes a file, so that a daemon that could not store its jobs fails at its start.
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
  new DaemonError('state-unwritable', `the daemon's folder ${stateDir} can't be written: ${messageOf(error)}`, {
    hint: 'Free disk space and make the folder writable, or set ROWTUNE_STATE to another folder',
    cause: error,
  });
