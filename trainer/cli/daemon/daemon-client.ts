/**
 * The command line's connection to a daemon: a running one, one started in the background, or one on another machine.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import manifest from '../../../package.json' with { type: 'json' };
import { daemonEnvironment } from '../../engine/inherited-environment.ts';
import { MAX_STATE_BYTES, readRegularText } from '../../files/regular-file.ts';
import { codeOf } from '../../protocol/error-facts.ts';
import { checkStateDir } from '../../rpc/connection/claim.ts';
import { connectDaemon, type DaemonAddress, type DaemonClient } from '../../rpc/connection/connect.ts';
import { proxyEnvironment } from '../../worker/proxy-environment.ts';
import { CliError, EXIT } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';

export const DEFAULT_IDLE_MINUTES = 30;
/** Maximum time to start a daemon; Node, its bundle and a handshake take under a second on an idle machine. */
const START_TIMEOUT_MS = 30_000;
const POLL_MS = 100;
/** Maximum number of bytes to show from the end of a daemon's output. */
const MAX_WORDS = 1000;

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

/**
 * Connects to a daemon; undefined if none is alive on this machine. A daemon that does not answer, one with another protocol, and a remote
 * daemon that cannot be reached are errors.
 */
export async function connectIfRunning(context: CommandContext, timeoutMs?: number): Promise<DaemonClient | undefined> {
  try {
    return await connectDaemon(await addressOf(context), { client: { name: 'rowtune', version: manifest.version }, timeoutMs });
  } catch (error) {
    if (codeOf(error) === 'daemon-missing' && context.settings.remoteDaemon === undefined) return undefined;
    throw error;
  }
}

/** Returns the running daemon, or starts one in the background. @param args further arguments of `daemon run` */
export async function ensureDaemon(
  context: CommandContext,
  args: readonly string[] = [],
): Promise<{ readonly client: DaemonClient; readonly started: boolean }> {
  const running = await connectIfRunning(context);
  if (running) return { client: running, started: false };
  const { stateDir } = context.settings;
  await checkStateDir(stateDir);
  const child = await startDetached(stateDir, args);
  const client = await untilAnswers(context, child);
  return { client, started: client.server.pid === child.pid };
}

/** Starts the same program with `daemon run` in its own session. Its output goes to a file, because no pipe may outlive this process. */
async function startDetached(stateDir: string, more: readonly string[]): Promise<ChildProcess> {
  const output = openSync(outputFile(stateDir), 'w', 0o600);
  try {
    const args = [...process.execArgv, process.argv[1] ?? '', 'daemon', 'run', ...more];
    // The daemon runs in the state folder, so that it does not block moving or unmounting a workspace.
    const env = { ...proxyEnvironment(process.env), ...daemonEnvironment(process.env).env };
    const child = spawn(process.execPath, args, { detached: true, cwd: stateDir, env, stdio: ['ignore', output, output] });
    await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    child.unref();
    return child;
  } finally {
    closeSync(output);
  }
}

const outputFile = (stateDir: string): string => path.join(stateDir, 'daemon.out');

/**
 * Waits for the daemon to answer. If another start was quicker, that daemon answers and this one has ended.
 * @throws CliError with the reason if the daemon ended
 */
async function untilAnswers(context: CommandContext, child: ChildProcess): Promise<DaemonClient> {
  const { stateDir } = context.settings;
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const hasEnded = child.exitCode !== null || child.signalCode !== null;
    const client = await connectIfRunning(context);
    if (client) return client;
    if (hasEnded)
      throw new CliError(`the daemon failed to start${lastWords(stateDir)}`, {
        code: 'daemon-start',
        hint: `See ${outputFile(stateDir)}, or run it in the foreground: rowtune daemon run`,
      });
    if (performance.now() > deadline)
      throw new CliError(`the daemon does not answer after ${START_TIMEOUT_MS / 1000} s`, {
        code: 'daemon-start',
        hint: `See ${outputFile(stateDir)}, or run it in the foreground: rowtune daemon run`,
      });
    await delay(POLL_MS);
  }
}

function lastWords(stateDir: string): string {
  const lines = readFileSync(outputFile(stateDir), 'utf8').slice(-MAX_WORDS).trim().split('\n');
  return lines.join('') === '' ? '' : `: ${lines.slice(-3).join(' ')}`;
}
