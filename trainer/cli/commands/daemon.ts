/** `rowtune daemon start | run | status | stop`: the process that runs jobs independently of any window. */
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { MAX_STATE_BYTES, readRegularText } from '../../files/regular-file.ts';
import { isRunning } from '../../machine/process-identity.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { shareText } from '../../protocol/run/device-share.ts';
import { byteSize, duration, table } from '../../protocol/text/format.ts';
import { daemonOwner } from '../../rpc/connection/claim.ts';
import { readDiscovery } from '../../rpc/connection/discovery.ts';
import { type DaemonOptions, startDaemon } from '../../rpc/daemon.ts';
import { DaemonError } from '../../rpc/daemon-error.ts';
import { devicesOf } from '../../rpc/jobs/device-shares.ts';
import { CliError, EXIT } from '../cli-error.ts';
import {
  type AddCommand,
  type CommandContext,
  type CommandResult,
  runCommandWork,
  type Surroundings,
  withCommonOptions,
} from '../command.ts';
import { connectIfRunning, DEFAULT_IDLE_MINUTES, ensureDaemon } from '../daemon/daemon-client.ts';
import { numberOption } from '../job-command.ts';

interface RunOptions {
  readonly idleMinutes: number;
  readonly listen?: Place;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

interface StatusOptions {
  readonly showToken?: boolean;
}

const STOPPING = 'stopping; training saves first';
/** Interval between checks whether a process still exists. */
const POLL_MS = 100;

interface Place {
  readonly host: string;
  readonly port: number;
}

export const addDaemon: AddCommand = (program, surroundings) => {
  const daemon = program.command('daemon').description('control the background process that runs jobs for the editor and --detach');
  const add = <Options extends object>(
    name: string,
    description: string,
    work: (context: CommandContext, options: Options) => Promise<CommandResult>,
    addOptions: (command: Command) => Command = command => command,
  ): void => {
    const command = addOptions(daemon.command(name).description(description));
    addWork(command, name, surroundings, context => work(context, command.opts<Options>()));
  };
  add<RunOptions>('start', 'start it in the background, unless one is running', start, withRunOptions);
  add<RunOptions>('run', 'run it in the foreground until Ctrl-C or SIGTERM (training saves first)', run, withRunOptions);
  add<StatusOptions>('status', 'show its address, its jobs and its memory', status, command =>
    command.option('--show-token', 'include the token, for clients that connect through a tunnel'),
  );
  add('stop', 'stop it; training saves first and can be resumed', stop);
};

const withRunOptions = (command: Command): Command =>
  command
    .option(
      '--idle-minutes <count>',
      'exit after this many minutes without jobs and clients; 0 for never',
      numberOption({ min: 0, max: 10_000 }),
      DEFAULT_IDLE_MINUTES,
    )
    .option(
      '--listen <host:port>',
      'also listen on this address for other machines, over TLS; 0.0.0.0:8421 listens on every network',
      parsePlace,
    )
    .option('--tls-cert <file>', 'TLS certificate with its chain, as PEM')
    .option('--tls-key <file>', 'key of the TLS certificate, as PEM');

function parsePlace(text: string): Place {
  const [, host = '', port = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text)?.filter(part => part !== undefined) ?? [];
  if (host === '' || Number(port) > 65_535) throw new InvalidArgumentError('Write it like 0.0.0.0:8421.');
  return { host, port: Number(port) };
}

function addWork(
  command: Command,
  name: string,
  surroundings: Surroundings,
  work: (context: CommandContext) => Promise<CommandResult>,
): void {
  withCommonOptions(command, [`rowtune daemon ${name}`]).action(() => runCommandWork(command, surroundings, work));
}

async function start(context: CommandContext, options: RunOptions): Promise<CommandResult> {
  const { terminal, cwd } = context;
  const { listen, tlsCert, tlsKey, idleMinutes } = options;
  // Report mistakes in the options here, not in a file of the background process.
  await outsideOf(options, cwd);
  const door =
    listen === undefined
      ? []
      : ['--listen', hostAndPort(listen), '--tls-cert', path.resolve(cwd, tlsCert ?? ''), '--tls-key', path.resolve(cwd, tlsKey ?? '')];
  const { client, started } = await ensureDaemon(context, ['--idle-minutes', String(idleMinutes), ...door]);
  client.close();
  const { pid } = client.server;
  terminal.print(started ? `the daemon is running (process ${pid})` : `a daemon is already running (process ${pid})`);
  return { value: { ok: true, pid, started } };
}

/**
 * Reads the options for connections from outside.
 * @throws CliError (status 2) if the TLS options are incomplete, or a file cannot be read
 */
async function outsideOf({ listen, tlsCert, tlsKey }: RunOptions, cwd: string): Promise<DaemonOptions['outside']> {
  if (listen === undefined && tlsCert === undefined && tlsKey === undefined) return undefined;
  if (listen === undefined || tlsCert === undefined || tlsKey === undefined)
    throw new CliError('--listen, --tls-cert and --tls-key are only valid together, because the token must be encrypted', {
      code: 'usage',
      exitStatus: EXIT.usage,
      hint: 'Give all three, or connect through an SSH tunnel.',
    });
  const [cert, key] = await Promise.all(
    [tlsCert, tlsKey].map(file =>
      readRegularText(path.resolve(cwd, file), MAX_STATE_BYTES).catch((error: Error) => {
        throw new CliError(`${file} can't be read: ${messageOf(error)}`, { code: 'usage', exitStatus: EXIT.usage });
      }),
    ),
  );
  return { ...listen, tls: { cert: cert ?? '', key: key ?? '' } };
}

const hostAndPort = ({ host, port }: Place): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

async function run({ settings, terminal, cwd }: CommandContext, options: RunOptions): Promise<CommandResult> {
  const { stateDir, cacheDir, configDir, hub, trackers, engineFromEnvironment } = settings;
  const outside = await outsideOf(options, cwd);
  // Listen before starting: a reader of the daemon's file may send a signal at once.
  const asked = new Promise<void>(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve());
  });
  // The terminal window that started it may close.
  process.on('SIGHUP', () => undefined);
  const daemon = await startDaemon({
    stateDir,
    cacheDir,
    configDir,
    hub,
    engineFromEnvironment,
    trackers,
    idleExitMs: options.idleMinutes * 60_000,
    outside,
    token: settings.daemonToken,
    devices: devicesOf(process.env),
  });
  terminal.say('info', `the daemon is listening on 127.0.0.1:${daemon.discovery.port} (process ${process.pid})`);
  if (outside !== undefined && daemon.outsidePort !== undefined)
    terminal.say('info', `and on wss://${hostAndPort({ host: outside.host, port: daemon.outsidePort })} for other machines`);
  void asked.then(() => daemon.stop());
  let fault: unknown;
  // A bug must not stop the jobs: training saves, and the reason is written to daemon.out.
  process.on('uncaughtException', error => {
    fault ??= error;
    terminal.say('error', error instanceof Error ? (error.stack ?? error.message) : String(error));
    void daemon.stop();
  });
  await daemon.ended;
  return { value: { ok: fault === undefined }, exitStatus: fault === undefined ? EXIT.ok : EXIT.failed };
}

async function status(context: CommandContext, { showToken = false }: StatusOptions): Promise<CommandResult> {
  const { terminal, settings } = context;
  const client = await connectIfRunning(context);
  if (client === undefined) {
    terminal.print('no daemon is running; start one with: rowtune daemon start');
    return { value: { ok: true, running: false }, exitStatus: EXIT.ok };
  }
  try {
    const found = await client.request('daemonStatus', {});
    const all = await client.request('listJobs', {});
    const { version, pid, uptimeSeconds, clients, jobs, rssBytes, logFile } = found;
    const discovery = settings.remoteDaemon === undefined ? await readDiscovery(settings.stateDir) : undefined;
    const url = settings.remoteDaemon?.url ?? `ws://127.0.0.1:${discovery?.port}`;
    const token = showToken ? discovery?.token : undefined;
    const rows = [
      ['address', url],
      ...(token === undefined ? [] : [['token', token]]),
      ['process', `${pid}, rowtune ${version}, up ${duration(uptimeSeconds)}, ${byteSize(rssBytes)}`],
      ['clients', String(clients)],
      ['jobs', `${jobs.running} running, ${jobs.queued} queued, ${jobs.ended} ended`],
      ['log', logFile],
    ];
    terminal.print(table(rows));
    const active = all.filter(({ endedAt }) => endedAt === undefined);
    if (active.length > 0)
      terminal.print(
        table([
          ['job', 'kind', 'state', 'what', 'on'],
          ...active.map(job => [job.id, job.kind, job.state, job.title, job.share === undefined ? '' : shareText(job.share)]),
        ]),
      );
    return { value: { ok: true, running: true, url, token, ...found, active } };
  } finally {
    client.close();
  }
}

async function stop(context: CommandContext): Promise<CommandResult> {
  const { terminal } = context;
  const pid = await stopByRequest(context).catch(error => stopBySignal(context, error));
  terminal.print(pid === undefined ? 'no daemon is running' : `the daemon has ended (process ${pid})`);
  return { value: { ok: true, stopped: pid !== undefined, pid } };
}

async function stopByRequest(context: CommandContext): Promise<number | undefined> {
  const client = await connectIfRunning(context);
  if (client === undefined) return undefined;
  context.terminal.say('info', STOPPING);
  await client.request('shutdown', {});
  const { jobs } = await client.request('daemonStatus', {});
  if (jobs.queued > 0) context.terminal.say('info', `${jobs.queued} queued jobs will run under the next daemon`);
  await client.exit();
  await client.closed;
  return client.server.pid;
}

/** Ends a daemon of another version, which rejects our requests, with a signal. @throws `error` if it is a different one */
async function stopBySignal({ settings, terminal }: CommandContext, error: unknown): Promise<number> {
  const owner = settings.remoteDaemon === undefined ? daemonOwner(settings.stateDir) : undefined;
  if (!(error instanceof DaemonError) || error.code !== 'protocol-mismatch' || owner === undefined) throw error;
  terminal.say('info', STOPPING);
  process.kill(owner.pid, 'SIGTERM');
  while (isRunning(owner)) await delay(POLL_MS);
  return owner.pid;
}
