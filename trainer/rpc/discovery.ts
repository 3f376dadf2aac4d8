/** daemon.json of a state folder: where its daemon listens and the token that opens it. Trusted only after a handshake. */
import { open, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { DaemonError } from './daemon-error.ts';

export const DISCOVERY_FILE = 'daemon.json';

/** Of a fresh daemon 64 hexadecimal digits; a kept one is long too, and can stand in a header. */
export const TOKEN = /^[\w-]{32,256}$/;

const discoverySchema = z.object({
  port: z.int().min(1).max(65_535),
  pid: z.int().positive(),
  startedAt: z.string(),
  token: z.string().regex(TOKEN),
  version: z.string(),
});

export type Discovery = z.infer<typeof discoverySchema>;

export const discoveryPath = (stateDir: string): string => path.join(stateDir, DISCOVERY_FILE);

/** Undefined where there is none, or nothing that can be read as one. */
export async function readDiscovery(stateDir: string): Promise<Discovery | undefined> {
  try {
    return discoverySchema.parse(JSON.parse(await readFile(discoveryPath(stateDir), 'utf8')));
  } catch {
    return undefined;
  }
}

/**
 * Makes this process the daemon of the folder: the file is created exclusively, so that of two that start at once one wins.
 * @param answers whether the daemon that a file names is alive, by a handshake
 * @param say is told where the file of a dead daemon is taken over
 * @throws DaemonError 'daemon-running' where another one answers
 */
export async function claimStateDir(
  stateDir: string,
  own: Discovery,
  answers: (other: Discovery) => Promise<boolean>,
  say: (message: string) => void,
): Promise<void> {
  // The second attempt follows a stale file; where that fails too, another daemon was quicker.
  for (let attempt = 0; attempt < 2; attempt++) {
    if (await writeExclusively(discoveryPath(stateDir), JSON.stringify(own))) return;
    const other = await readDiscovery(stateDir);
    if (other && (await answers(other))) throw running(stateDir, other);
    if (!other && (await isFresh(discoveryPath(stateDir)))) throw running(stateDir, other);
    say(`took over ${discoveryPath(stateDir)} of a daemon that is gone${other ? ` (process ${other.pid})` : ''}`);
    // Only the file that was found stale: another daemon may have replaced it meanwhile.
    const now = await readDiscovery(stateDir);
    if (now?.token === other?.token) await rm(discoveryPath(stateDir), { force: true });
  }
  throw running(stateDir, await readDiscovery(stateDir));
}

/** Takes away the file of this daemon, and of no other. */
export async function releaseStateDir(stateDir: string, own: Discovery): Promise<void> {
  const found = await readDiscovery(stateDir);
  if (found?.token === own.token) await rm(discoveryPath(stateDir), { force: true });
}

async function writeExclusively(file: string, text: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile(`${text}\n`);
      return true;
    } finally {
      await handle.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** A daemon that has just made the file and not yet written it. */
const FRESH_MS = 2000;

async function isFresh(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  return found !== undefined && found.size === 0 && Date.now() - found.mtimeMs < FRESH_MS;
}

function running(stateDir: string, other: Discovery | undefined): DaemonError {
  const who = other === undefined ? 'another daemon is starting' : `a daemon runs already, process ${other.pid} on port ${other.port}`;
  return new DaemonError('daemon-running', `${who} for ${stateDir}`, {
    hint: 'Use it, or end it with: rowtune daemon stop',
    details: other === undefined ? {} : { pid: other.pid, port: other.port },
  });
}
