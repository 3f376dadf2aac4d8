/** The daemon: one per user and state folder. Clients connect and disconnect; its jobs continue. */
import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import type { WebSocket } from 'ws';
import manifest from '../../package.json' with { type: 'json' };
import { availableMemoryBytes } from '../machine/machine.ts';
import { codeOf, messageOf } from '../protocol/error-facts.ts';
import type { JobContext } from '../protocol/messages/job-messages.ts';
import { type DaemonStatus, type JobRecord, MAX_FRAME_BYTES } from '../protocol/messages/rpc-messages.ts';
import { Reader } from '../reader/reader.ts';
import type { StopTimes } from '../worker/stop-worker.ts';
import { claimStateDir, unwritable } from './connection/claim.ts';
import { ClientSessions } from './connection/client-sessions.ts';
import { announce, type Discovery, discoveryPath, TOKEN } from './connection/discovery.ts';
import { EventRing } from './connection/event-ring.ts';
import { listen, type Tls } from './connection/listen.ts';
import { DaemonError } from './daemon-error.ts';
import { type DaemonLog, openDaemonLog } from './daemon-log.ts';
import { type Devices, devicesOf } from './jobs/device-shares.ts';
import { JobQueue } from './jobs/job-queue.ts';
import { hasEnded } from './jobs/job-record.ts';
import { openJobsFile, readJobs, saveLater } from './jobs/jobs-file.ts';
import type { Services } from './request-handlers.ts';

/** Milliseconds after the answer to `shutdown` before the daemon exits without `exit`. */
const EXIT_WAIT_MS = 2000;

export interface DaemonOptions {
  readonly stateDir: string;
  readonly cacheDir: string;
  /** Milliseconds without jobs and clients before the daemon exits; 0 for never. */
  readonly idleExitMs: number;
  readonly engineFromEnvironment?: string;
  readonly hub: JobContext['hub'];
  readonly trackers?: JobContext['trackers'];
  /** Path of the worker's bundle, if it is not next to this one. */
  readonly workerFile?: string;
  /** The folder of files that the user writes for all projects. */
  readonly configDir?: string;
  /** The program that a cluster job starts; defaults to that of this process. */
  readonly command?: readonly string[];
  /** Time limits for a worker to end; defaults to STOP_SECONDS. */
  readonly stopTimes?: StopTimes;
  /** Path of the reader's bundle, if it is not next to this one. */
  readonly readerFile?: string;
  /** A second listener for other machines. */
  readonly outside?: { readonly tls: Tls; readonly host: string; readonly port: number };
  /** A fixed token that a client on another machine can store; defaults to a new token for each start. */
  readonly token?: string;
  /** Returns free memory; defaults to that of the machine. */
  readonly availableBytes?: () => number;
  /** Cores and GPUs that its jobs share; defaults to those of the machine. */
  readonly devices?: Devices;
  readonly maxFrameBytes?: number;
  readonly maxQueuedBytes?: number;
  /** Writes jobs.json durably and atomically. */
  readonly writeJobs?: (file: string, text: string) => Promise<void>;
}

export interface Daemon {
  readonly discovery: Discovery;
  /** Port of the second listener. */
  readonly outsidePort?: number;
  /** Stops the running jobs (training saves), then exits; queued jobs are kept for the next start. */
  stop(): Promise<void>;
  /** Resolves when the daemon has ended, for whatever reason. */
  readonly ended: Promise<void>;
}

/**
 * @throws DaemonError 'daemon-running' if another daemon is alive for this state folder, 'state-unwritable' if the folder cannot be
 * written, 'daemon-door' if the second listener cannot be opened
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { stateDir, token } = options;
  if (token !== undefined && !TOKEN.test(token))
    throw new DaemonError('bad-token', 'the token of a daemon must have 32 to 256 letters, digits, - and _', {
      hint: 'Create one: openssl rand -hex 32',
    });
  const said: string[] = [];
  let release: () => void;
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    release = await claimStateDir(stateDir, message => said.push(message));
  } catch (error) {
    throw error instanceof DaemonError ? error : unwritable(stateDir, error);
  }
  const log = openDaemonLog(stateDir);
  for (const message of said) log.write('warning', message);
  try {
    return await serve(options, log, release);
  } catch (error) {
    release();
    throw error;
  }
}

/** Runs the daemon after it has claimed the folder. @param release gives the folder back, as the very last step */
async function serve(options: DaemonOptions, log: DaemonLog, release: () => void): Promise<Daemon> {
  const { stateDir, cacheDir, idleExitMs, hub, trackers, engineFromEnvironment } = options;
  const start: Start = { at: new Date().toISOString(), ms: performance.now() };
  const logError = (error: Error): void => log.write('error', error.message);
  const ring = new EventRing(start.at);
  const jobSettings = { cacheDir, engineFromEnvironment, hub, ...(trackers && { trackers }) };
  const availableBytes = options.availableBytes ?? availableMemoryBytes;
  const devices = options.devices ?? devicesOf({});
  const clients = new ClientSessions({
    log,
    startedAt: start.at,
    ring,
    maxQueuedBytes: options.maxQueuedBytes,
    onCount: () => idle.check(),
    onExit: () => void stop(),
  });
  const jobs = new JobQueue({
    workerFile: options.workerFile,
    stopTimes: options.stopTimes,
    known: await readJobs(stateDir, jobSettings, message => log.write('error', message)),
    availableBytes,
    devices,
    persist: () => jobsFile.save(),
    onChange: record => {
      later.save();
      clients.jobChanged(record);
      if (hasEnded(record)) log.write('info', endText(record));
      idle.check();
    },
    onEvent: (id, event) => clients.publish(id, event),
    onLine: (id, line) => log.write('debug', `job ${id}: ${line}`),
  });
  const jobsFile = openJobsFile(stateDir, () => jobs.kept(), options.writeJobs);
  const later = saveLater(jobsFile, logError);
  const idle = idleExit(
    idleExitMs,
    () => clients.count > 0 || jobs.active > 0,
    () => {
      log.write('info', 'idle: no jobs and no clients');
      void stop();
    },
  );
  // Report an unwritable disk now, not with the first job.
  await jobsFile.save();
  const reader = new Reader({ script: options.readerFile });
  const services: Services = {
    queue: jobs,
    ring,
    cacheDir,
    reader,
    availableBytes,
    devices,
    jobSettings,
    workerFile: options.workerFile,
    configDir: options.configDir,
    command: options.command,
    status: () => statusOf({ start, jobs, clients, log, ring }),
    persist: () => jobsFile.save(),
    stopJobs: async () => {
      await jobs.close();
      setTimeout(() => void stop(), EXIT_WAIT_MS).unref();
    },
  };
  const token = options.token ?? randomBytes(32).toString('hex');
  const ports = await openPorts(options, { token, log, onClient: socket => clients.welcome(socket, services) });
  const discovery: Discovery = { port: ports.port, pid: process.pid, startedAt: start.at, token, version: manifest.version };
  try {
    await announce(stateDir, discovery);
  } catch (error) {
    await ports.close();
    throw unwritable(stateDir, error);
  }
  log.write('info', `rowtune ${manifest.version} listens on 127.0.0.1:${ports.port}, process ${process.pid}`);
  jobs.begin();
  idle.check();
  let end = (): void => undefined;
  const ended = new Promise<void>(resolve => {
    end = resolve;
  });
  let ending: Promise<void> | undefined;
  return { discovery, outsidePort: ports.outsidePort, stop, ended };

  function stop(): Promise<void> {
    ending ??= (async () => {
      later.close();
      idle.close();
      await jobs.close();
      reader.close();
      await jobsFile.save().catch(logError);
      await rm(discoveryPath(stateDir), { force: true }).catch(logError);
      await ports.close();
      release();
      log.write('info', 'ended');
      end();
    })();
    return ending;
  }
}

interface Start {
  /** The time, ISO 8601. */
  readonly at: string;
  /** The time on the clock of `performance.now()`. */
  readonly ms: number;
}

const endText = ({ id, kind, state, failure }: JobRecord): string => `job ${id} (${kind}) ${state}${failure ? `: ${failure.message}` : ''}`;

interface StatusParams {
  readonly start: Start;
  readonly jobs: JobQueue;
  readonly clients: ClientSessions;
  readonly log: DaemonLog;
  readonly ring: EventRing;
}

function statusOf({ start, jobs, clients, log, ring }: StatusParams): DaemonStatus {
  const records = jobs.list();
  const queued = records.filter(({ state }) => state === 'queued').length;
  const over = records.filter(hasEnded).length;
  return {
    version: manifest.version,
    pid: process.pid,
    startedAt: start.at,
    uptimeSeconds: (performance.now() - start.ms) / 1000,
    clients: clients.count,
    jobs: { queued, running: records.length - queued - over, ended: over },
    rssBytes: process.memoryUsage.rss(),
    logFile: log.path,
    seq: ring.seq,
  };
}

/** Calls `exit` after this long without anything that keeps the daemon busy; never for 0. */
function idleExit(afterMs: number, isBusy: () => boolean, exit: () => void) {
  let timer: NodeJS.Timeout | undefined;
  const close = (): void => clearTimeout(timer);
  return {
    close,
    check: (): void => {
      close();
      if (afterMs > 0 && !isBusy()) timer = setTimeout(exit, afterMs).unref();
    },
  };
}

interface OpenPorts {
  readonly port: number;
  readonly outsidePort: number | undefined;
  close(): Promise<void>;
}

/** Opens the listener for this machine and, if requested, one for other machines. @throws DaemonError 'daemon-door' */
async function openPorts(
  { outside, maxFrameBytes = MAX_FRAME_BYTES }: DaemonOptions,
  { token, log, onClient }: { readonly token: string; readonly log: DaemonLog; onClient(socket: WebSocket): void },
): Promise<OpenPorts> {
  const params = { token, maxFrameBytes, onClient, onRefused: (reason: string) => log.write('warning', `refused: ${reason}`) };
  const inner = await listen(params);
  if (!outside) return { port: inner.port, outsidePort: undefined, close: () => inner.close() };
  try {
    const outer = await listen({ ...params, outside });
    log.write('info', `listens on ${outside.host}:${outer.port} over TLS`);
    return { port: inner.port, outsidePort: outer.port, close: async () => void (await Promise.all([inner.close(), outer.close()])) };
  } catch (error) {
    await inner.close();
    if (codeOf(error) === 'EADDRINUSE')
      throw new DaemonError('daemon-door', `port ${outside.port} of ${outside.host} is in use by another program`, {
        hint: 'Choose another port with --listen',
      });
    throw new DaemonError('daemon-door', `the daemon can't listen on ${outside.host}:${outside.port}: ${messageOf(error)}`, {
      hint: 'Check --listen, --tls-cert and --tls-key',
    });
  }
}
