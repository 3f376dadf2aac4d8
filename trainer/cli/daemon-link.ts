/** The command line's way to a daemon: the one that runs, one that is started in the background, or one on another machine. */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import manifest from '../../package.json' with { type: 'json' };
import { MAX_STATE_BYTES, readRegularText } from '../regular-file.ts';
import { connectDaemon, type DaemonAddress, type DaemonClient } from '../rpc/connect.ts';
import { CliError, EXIT } from './cli-error.ts';
import type { CommandContext } from './command.ts';

export const DEFAULT_IDLE_MINUTES = 30;
/** Node, its bundle and a handshake take under a second on a quiet machine; whether a rival is dead may take ten. */
const START_TIMEOUT_MS = 30_000;
const POLL_MS = 100;

async function addressOf({ settings, cwd }: CommandContext): Promise<DaemonAddress> {
  const { remoteDaemon, stateDir } = settings;
  if (remoteDaemon === undefined) return { stateDir };
  const { url, token, caFile } = remoteDaemon;
  if (caFile === undefined) return { url, token };
  const ca = await readRegularText(path.resolve(cwd, caFile), MAX_STATE_BYTES).catch((error: Error) => {
    throw new CliError(`ROWTUNE_DAEMON_CA: ${error.message}`, { code: 'usage', exitStatus: EXIT.usage });
  });
  return { url, token, ca };
}

/** Undefined where none answers on this machine; one that speaks another protocol, and one elsewhere that does not answer, is an error. */
export async function connectIfRunning(context: CommandContext): Promise<DaemonClient | undefined> {
  try {
    return await connectDaemon(await addressOf(context), { client: { name: 'rowtune', version: manifest.version } });
  } catch (error) {
    const isAbsent = ['daemon-missing', 'daemon-gone', 'daemon-refused'].includes(String((error as { code?: unknown }).code));
    if (isAbsent && context.settings.remoteDaemon === undefined) return undefined;
    throw error;
  }
}

/** The daemon that runs, or one that is started in the background. @param args further arguments of `daemon run` */
export async function ensureDaemon(
  context: CommandContext,
  args: readonly string[] = [],
): Promise<{ readonly client: DaemonClient; readonly started: boolean }> {
  const running = await connectIfRunning(context);
  if (running) return { client: running, started: false };
  const pid = await startDetached(context.settings.stateDir, args);
  const client = await untilAnswers(context);
  return { client, started: client.server.pid === pid };
}

/** The same program with `daemon run`, in a session of its own; its output goes into a file, as no pipe may outlive this process. */
async function startDetached(stateDir: string, more: readonly string[]): Promise<number | undefined> {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const output = openSync(path.join(stateDir, 'daemon.out'), 'w', 0o600);
  try {
    const args = [...process.execArgv, process.argv[1] ?? '', 'daemon', 'run', ...more];
    // From the state folder: a daemon must keep no workspace from being moved or unmounted.
    const child = spawn(process.execPath, args, { detached: true, cwd: stateDir, stdio: ['ignore', output, output] });
    await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    child.unref();
    return child.pid;
  } finally {
    closeSync(output);
  }
}

async function untilAnswers(context: CommandContext): Promise<DaemonClient> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const client = await connectIfRunning(context);
    if (client) return client;
    if (performance.now() > deadline)
      throw new CliError(`the daemon does not answer after ${START_TIMEOUT_MS / 1000} s`, {
        code: 'daemon-start',
        hint: `See ${path.join(context.settings.stateDir, 'daemon.out')}, or run it here: rowtune daemon run`,
      });
    await delay(POLL_MS);
  }
}
