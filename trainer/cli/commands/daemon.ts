/** `rowtune daemon start | run | status | stop`: the process that runs jobs and outlives every window. */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import manifest from '../../../package.json' with { type: 'json' };
import { connectDaemon, type DaemonClient } from '../../rpc/connect.ts';
import { startDaemon } from '../../rpc/daemon.ts';
import { CliError, EXIT } from '../cli-error.ts';
import {
  type AddCommand,
  type CommandContext,
  type CommandResult,
  runCommandWork,
  type Surroundings,
  withCommonOptions,
} from '../command.ts';
import { byteSize, duration, table } from '../../protocol/format.ts';
import { numberOption } from '../job-command.ts';

/** Node, its bundle and a handshake take under a second on a quiet machine. */
const START_TIMEOUT_MS = 20_000;
const POLL_MS = 100;
const DEFAULT_IDLE_MINUTES = 30;

interface RunOptions {
  readonly idleMinutes: number;
}

export const addDaemon: AddCommand = (program, surroundings) => {
  const daemon = program.command('daemon').description('the background process that runs jobs for the editor and for --detach');
  const add = (name: string, description: string, work: (context: CommandContext, options: RunOptions) => Promise<CommandResult>): void => {
    const command = daemon.command(name).description(description);
    if (name === 'start' || name === 'run') withIdleOption(command);
    addWork(command, name, surroundings, context => work(context, command.opts<RunOptions>()));
  };
  add('start', 'start it in the background, where none runs yet', start);
  add('run', 'run it here, until Ctrl-C or SIGTERM (training saves and ends)', run);
  add('status', 'show where it listens and what it does', status);
  add('stop', 'end it; training saves first and can be resumed', stop);
};

const withIdleOption = (command: Command): Command =>
  command.option(
    '--idle-minutes <count>',
    'ends without jobs and clients for this long; 0 never',
    numberOption({ min: 0, max: 10_000 }),
    DEFAULT_IDLE_MINUTES,
  );

function addWork(
  command: Command,
  name: string,
  surroundings: Surroundings,
  work: (context: CommandContext) => Promise<CommandResult>,
): void {
  withCommonOptions(command, [`rowtune daemon ${name}`]).action(() => runCommandWork(command, surroundings, work));
}

const connect = ({ settings }: CommandContext): Promise<DaemonClient> =>
  connectDaemon({ stateDir: settings.stateDir }, { client: { name: 'rowtune', version: manifest.version } });

/** Undefined where none answers; a daemon that speaks another protocol is an error. */
async function connectIfRunning(context: CommandContext): Promise<DaemonClient | undefined> {
  try {
    return await connect(context);
  } catch (error) {
    if (['daemon-missing', 'daemon-gone', 'daemon-refused'].includes(String((error as { code?: unknown }).code))) return undefined;
    throw error;
  }
}

async function start(context: CommandContext, { idleMinutes }: RunOptions): Promise<CommandResult> {
  const { settings, terminal } = context;
  const running = await connectIfRunning(context);
  if (running) {
    running.close();
    terminal.print(`a daemon runs already, process ${running.server.pid}`);
    return { value: { ok: true, pid: running.server.pid, started: false } };
  }
  const pid = await startDetached(settings.stateDir, idleMinutes);
  const client = await untilAnswers(context);
  client.close();
  terminal.print(`the daemon is ready, process ${client.server.pid}`);
  return { value: { ok: true, pid: client.server.pid, started: client.server.pid === pid } };
}

/** The same program with `daemon run`, in a session of its own; its output goes into a file, as no pipe may outlive this process. */
async function startDetached(stateDir: string, idleMinutes: number): Promise<number | undefined> {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const output = openSync(path.join(stateDir, 'daemon.out'), 'w', 0o600);
  try {
    const args = [...process.execArgv, process.argv[1] ?? '', 'daemon', 'run', '--idle-minutes', String(idleMinutes)];
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

async function run({ settings, terminal }: CommandContext, { idleMinutes }: RunOptions): Promise<CommandResult> {
  const { stateDir, cacheDir, hub, engineFromEnvironment } = settings;
  const daemon = await startDaemon({ stateDir, cacheDir, hub, engineFromEnvironment, idleExitMs: idleMinutes * 60_000 });
  terminal.say('info', `the daemon listens on 127.0.0.1:${daemon.discovery.port}, process ${process.pid}`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void daemon.stop());
  // The window it was started from may close.
  process.on('SIGHUP', () => undefined);
  await daemon.ended;
  return { value: { ok: true } };
}

async function status(context: CommandContext): Promise<CommandResult> {
  const { terminal } = context;
  const client = await connectIfRunning(context);
  if (client === undefined) {
    terminal.print('no daemon runs; to start one: rowtune daemon start');
    return { value: { ok: true, running: false }, exitStatus: EXIT.ok };
  }
  try {
    const found = await client.request('daemonStatus', {});
    const all = await client.request('listJobs', {});
    const { version, pid, uptimeSeconds, clients, jobs, rssBytes, logFile } = found;
    const rows = [
      ['process', `${pid}, rowtune ${version}, up ${duration(uptimeSeconds)}, ${byteSize(rssBytes)}`],
      ['clients', String(clients)],
      ['jobs', `${jobs.running} running, ${jobs.queued} queued, ${jobs.ended} ended`],
      ['log', logFile],
    ];
    terminal.print(table(rows));
    const active = all.filter(({ endedAt }) => endedAt === undefined);
    if (active.length > 0)
      terminal.print(table([['job', 'kind', 'state', 'what'], ...active.map(job => [job.id, job.kind, job.state, job.title])]));
    return { value: { ok: true, running: true, ...found, active } };
  } finally {
    client.close();
  }
}

async function stop(context: CommandContext): Promise<CommandResult> {
  const { terminal } = context;
  const client = await connectIfRunning(context);
  if (client === undefined) {
    terminal.print('no daemon runs');
    return { value: { ok: true, stopped: false } };
  }
  terminal.say('info', 'stopping; training saves first');
  await client.request('shutdown', {});
  await client.exit();
  await client.closed;
  terminal.print(`the daemon has ended, process ${client.server.pid}`);
  return { value: { ok: true, stopped: true, pid: client.server.pid } };
}
