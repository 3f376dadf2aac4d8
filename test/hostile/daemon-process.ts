/** A daemon in its own process, into which faults are injected. Its jobs do nothing and end at once. */
import process from 'node:process';
import { z } from 'zod';
import { startDaemon } from '../../trainer/rpc/daemon.ts';
import { DaemonError } from '../../trainer/rpc/daemon-error.ts';
import { describeFailure } from '../../trainer/run-error.ts';
import { parseJson } from '../support/files/read-json.ts';

const optionsForm = z.object({ stateDir: z.string(), cacheDir: z.string(), workerFile: z.string(), readerFile: z.string() });
const options = parseJson(process.env.ROWTUNE_TEST_DAEMON ?? '{}', optionsForm);

/** Exits with status 1 for an error of ours, and 70 for a bug. */
function end(error: unknown): never {
  const isOurs = error instanceof DaemonError || !describeFailure(error).unexpected;
  process.stderr.write(`${error instanceof Error ? (isOurs ? error.message : error.stack) : error}\n`);
  process.exit(isOurs ? 1 : 70);
}

process.on('uncaughtException', error => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(70);
});

try {
  const daemon = await startDaemon({ ...options, idleExitMs: 0, hub: { offline: true } });
  process.on('SIGTERM', () => void daemon.stop());
  await daemon.ended;
  process.exit(0);
} catch (error) {
  end(error);
}
