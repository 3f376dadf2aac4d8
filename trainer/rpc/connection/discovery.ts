/** daemon.json of a state folder: the address and the token of its daemon, which are trusted only after a handshake. */
import path from 'node:path';
import { z } from 'zod';
import { writePrivateFile } from '../../files/durable-file.ts';
import { MAX_STATE_BYTES, readRegularText } from '../../files/regular-file.ts';

const DISCOVERY_FILE = 'daemon.json';

/** Matches 64 hexadecimal digits for a new daemon; a fixed token is long, too, and fits in a header. */
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

/** Reads the file; undefined if it does not exist or cannot be parsed. */
export async function readDiscovery(stateDir: string): Promise<Discovery | undefined> {
  try {
    return discoverySchema.parse(JSON.parse(await readRegularText(discoveryPath(stateDir), MAX_STATE_BYTES)));
  } catch {
    return undefined;
  }
}

/** Writes the file; only for the daemon that owns the folder. */
export const announce = (stateDir: string, own: Discovery): Promise<void> =>
  writePrivateFile(discoveryPath(stateDir), `${JSON.stringify(own)}\n`);
