/** daemon.json of a state folder: where its daemon listens and the token that opens it. Trusted only after a handshake. */
import path from 'node:path';
import { z } from 'zod';
import { writePrivateFile } from '../files/durable-file.ts';
import { MAX_STATE_BYTES, readRegularText } from '../files/regular-file.ts';

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
    return discoverySchema.parse(JSON.parse(await readRegularText(discoveryPath(stateDir), MAX_STATE_BYTES)));
  } catch {
    return undefined;
  }
}

/** Only for the daemon that has claimed the folder. */
export const announce = (stateDir: string, own: Discovery): Promise<void> =>
  writePrivateFile(discoveryPath(stateDir), `${JSON.stringify(own)}\n`);
