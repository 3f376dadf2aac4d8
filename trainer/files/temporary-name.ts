/** Names of files and folders until they are complete, and which of them killed processes have left behind. */
import { createHash, randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import { isRunning } from '../machine/process-identity.ts';
import { TEMPORARY_ENDING } from '../protocol/temporary-ending.ts';

/** The machine of this process: on a shared disk, the processes of other machines and containers cannot be checked from here. */
const HOST = createHash('sha256').update(os.hostname()).digest('hex').slice(0, 4);

/** How long what another machine has begun counts as being written: longer than any part of a job. */
const OTHER_HOST_MS = 7 * 86_400_000;

const TEMPORARY = new RegExp(`^(.+)${TEMPORARY_ENDING}(?:\\.old)?$`);

/** The name of a file or folder until it is complete. */
export const temporaryName = (path: string): string => `${path}.${process.pid}-${HOST}${randomBytes(4).toString('hex')}.tmp`;

/** The final name of what a killed process has left under a name in a folder; undefined if it is complete, or may still be written. */
export async function leftoverName(folder: string, found: string): Promise<string | undefined> {
  const [, name, pid, host = HOST] = TEMPORARY.exec(found) ?? [];
  if (name === undefined) return undefined;
  const isLeft = host === HOST ? !isRunning({ pid: Number(pid) }) : await isOld(join(folder, found));
  return isLeft ? name : undefined;
}

const isOld = (path: string): Promise<boolean> =>
  stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs > OTHER_HOST_MS,
    () => false,
  );
