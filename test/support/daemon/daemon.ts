/** A daemon in this process or in its own, with a temporary state folder. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { connectDaemon, type DaemonClient } from '../../../trainer/rpc/connection/connect.ts';
import { type Daemon, type DaemonOptions, startDaemon } from '../../../trainer/rpc/daemon.ts';
import { cacheDir } from '../cache-dir.ts';
import { makeTemporaryFolder } from '../machine/temporary-folder.ts';

export { cacheDir } from '../cache-dir.ts';
export { until } from '../machine/until.ts';

const dist = join(import.meta.dirname, '..', '..', '..', 'dist');
export const WORKER = join(dist, 'worker.js');
export const READER = join(dist, 'reader.js');
export const ROWTUNE = join(dist, 'rowtune.js');

export const makeStateDir = (): string => makeTemporaryFolder();

export function startTestDaemon(options: Partial<DaemonOptions> = {}): Promise<Daemon> {
  if (!existsSync(WORKER)) throw new Error('dist/worker.js is missing: npm run build');
  return startDaemon({
    stateDir: makeStateDir(),
    cacheDir,
    idleExitMs: 0,
    hub: { offline: true },
    workerFile: WORKER,
    readerFile: READER,
    ...options,
  });
}

const client = { name: 'test', version: '0' };

export const connectTo = ({ discovery }: Daemon, events = false): Promise<DaemonClient> =>
  connectDaemon({ url: urlOf({ discovery }), token: discovery.token }, { client, events });

export const connectToState = (stateDir: string, events = false): Promise<DaemonClient> => connectDaemon({ stateDir }, { client, events });

export const urlOf = ({ discovery }: Pick<Daemon, 'discovery'>): string => `ws://127.0.0.1:${discovery.port}`;
