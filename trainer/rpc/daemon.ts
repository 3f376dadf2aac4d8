/** The daemon: one per user and state folder. Clients come and go; its jobs continue. */
import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import type { WebSocket } from 'ws';
import manifest from '../../package.json' with { type: 'json' };
import { availableMemoryBytes } from '../machine/machine.ts';
import type { JobContext, WorkerEvent } from '../protocol/job-messages.ts';
import { type InitializeResult, type JobEvent, MAX_FRAME_BYTES, PROTOCOL_VERSION, requests } from '../protocol/rpc-messages.ts';
import { socketTransport } from '../protocol/socket-transport.ts';
import { Reader } from '../reader/reader.ts';
import type { StopTimes } from '../worker/stop-worker.ts';
import { claimStateDir, unwritable } from './claim.ts';
import { DaemonError } from './daemon-error.ts';
import { type DaemonLog, openDaemonLog } from './daemon-log.ts';
import { announce, type Discovery, discoveryPath, TOKEN } from './discovery.ts';
import { EventRing } from './event-ring.ts';
import { hasEnded, JobQueue } from './job-queue.ts';
import { openJobsFile, readJobs } from './jobs-file.ts';
import { type Door, listen, type Tls } from './listen.ts';
import type { Services } from './request-handlers.ts';
import { openSession, type Session } from './session.ts';
import { fromWebSocket } from './web-socket.ts';

/** The send queue of a client that does not read: two of the largest messages. */
const MAX_QUEUED_BYTES = 2 * MAX_FRAME_BYTES;
/** Time limit from a connection to its `initialize`. */
const HANDSHAKE_MS = 10_000;
/** Delay before retrying a failed write of the jobs. */
const SAVE_AGAIN_MS = 10_000;
/** Delay after the answer to `shutdown` before exiting without `exit`. */
const EXIT_WAIT_MS = 2000;

export interface DaemonOptions {
  readonly stateDir: string;
  readonly cacheDir: string;
  /** Exits after this long without jobs and clients; 0 for never. */
  readonly idleExitMs: number;
  readonly engineFromEnvironment?: string;
  readonly hub: JobContext['hub'];
  /** Path of the worker's bundle, if it is not next to this one. */
  readonly workerFile?: string;
  /** Seconds that a worker has to end; defaults to STOP_SECONDS. */
  readonly stopTimes?: StopTimes;
  /** Path of the reader's bundle, if it is not next to this one. */
  readonly readerFile?: string;
  /** A second listener for other machines. */
  readonly outside?: { readonly tls: Tls; readonly host: string; readonly port: number };
  /** A token that a client on another machine can store; defaults to a new one for each start. */
  readonly token?: string;
  /** Free memory; defaults to that of the machine. */
  readonly availableBytes?: () => number;
  readonly maxFrameBytes?: number;
  readonly maxQueuedBytes?: number;
  /** Writes jobs.json durably and atomically. */
  readonly writeJobs?: (file: string, text: string) => Promise<void>;
}

export interface Daemon {
  readonly discovery: Discovery;
  /** Port of the second listener. */
  readonly outsidePort?: number;
  /** Stops the running jobs (training saves), then exits; queued ones are kept for the next start. */
  stop(): Promise<void>;
  /** Resolves when it has ended, whoever requested it. */
  readonly ended: Promise<void>;
}

/**
 * @throws DaemonError 'daemon-running' if another one is alive for this state folder, 'state-unwritable' if the folder
 * can't be written, 'daemon-door' if the second listener can't be opened
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

/** Runs after claiming the folder. @param release gives it back, as the very last step */
async function serve(options: DaemonOptions, log: DaemonLog, release: () => void): Promise<Daemon> {
  const { stateDir, cacheDir, idleExitMs, hub, engineFromEnvironment, maxFrameBytes = MAX_FRAME_BYTES } = options;
  const startedAt = new Date().toISOString();
  const startedMs = performance.now();
  const token = options.token ?? randomBytes(32).toString('hex');
  const sessions = new Map<WebSocket, Session>();
  const watchers = new Map<string, Set<(event: WorkerEvent) => void>>();
  const ring = new EventRing(startedAt);
  let idleTimer: NodeJS.Timeout | undefined;
  let saveTimer: NodeJS.Timeout | undefined;
  let ending: Promise<void> | undefined;

  const jobSettings = { cacheDir, engineFromEnvironment, hub };
  const availableBytes = options.availableBytes ?? availableMemoryBytes;
  const jobs = new JobQueue({
    workerFile: options.workerFile,
    stopTimes: options.stopTimes,
    known: await readJobs(stateDir, jobSettings, message => log.write('error', message)),
    availableBytes,
    persist: () => jobsFile.save(),
    onChange: record => {
      saveSoon();
      for (const session of sessions.values()) session.notify('jobChanged', record);
      if (hasEnded(record))
        log.write('info', `job ${record.id} (${record.kind}) ${record.state}${record.failure ? `: ${record.failure.message}` : ''}`);
      watchIdle();
    },
    onEvent: publish,
    onLine: (id, line) => log.write('debug', `job ${id}: ${line}`),
  });
  const jobsFile = openJobsFile(stateDir, () => jobs.kept(), options.writeJobs);
  // A disk that can't be written is reported now, not by the first job.
  await jobsFile.save();
  const reader = new Reader({ script: options.readerFile });
  let end = (): void => undefined;
  const ended = new Promise<void>(resolve => {
    end = resolve;
  });
  const services: Services = {
    queue: jobs,
    ring,
    cacheDir,
    reader,
    availableBytes,
    jobSettings,
    status: () => {
      const records = jobs.list();
      const queued = records.filter(({ state }) => state === 'queued').length;
      const over = records.filter(hasEnded).length;
      return {
        version: manifest.version,
        pid: process.pid,
        startedAt,
        uptimeSeconds: (performance.now() - startedMs) / 1000,
        clients: sessions.size,
        jobs: { queued, running: records.length - queued - over, ended: over },
        rssBytes: process.memoryUsage.rss(),
        logFile: log.path,
        seq: ring.seq,
      };
    },
    persist: () => jobsFile.save(),
    stopJobs: async () => {
      await jobs.close();
      setTimeout(() => void stop(), EXIT_WAIT_MS).unref();
    },
  };
  const doorParams = { token, maxFrameBytes, onClient: welcome, onRefused: (reason: string) => log.write('warning', `refused: ${reason}`) };
  const door = await listen(doorParams);
  const discovery: Discovery = { port: door.port, pid: process.pid, startedAt, token, version: manifest.version };
  const doors = [door];
  try {
    if (options.outside) doors.push(await openOutside(options.outside));
    await announce(stateDir, discovery).catch(error => {
      throw unwritable(stateDir, error);
    });
  } catch (error) {
    await closeDoors();
    throw error;
  }
  log.write('info', `rowtune ${manifest.version} listens on 127.0.0.1:${door.port}, process ${process.pid}`);
  jobs.begin();
  watchIdle();
  return { discovery, outsidePort: doors[1]?.port, stop, ended };

  async function openOutside(place: NonNullable<DaemonOptions['outside']>): Promise<Door> {
    try {
      const opened = await listen({ ...doorParams, outside: place });
      log.write('info', `listens on ${place.host}:${opened.port} over TLS`);
      return opened;
    } catch (error) {
      throw new DaemonError('daemon-door', `the daemon can't listen on ${place.host}:${place.port}: ${(error as Error).message}`, {
        hint: 'Check --tls-cert and --tls-key, and that the port is free',
      });
    }
  }

  async function closeDoors(): Promise<void> {
    await Promise.all(doors.map(opened => opened.close()));
  }

  /** Writes that no request waits for; a full disk is retried later. */
  function saveSoon(): void {
    clearTimeout(saveTimer);
    jobsFile.save().catch((error: Error) => {
      log.write('error', error.message);
      if (ending === undefined) saveTimer = setTimeout(saveSoon, SAVE_AGAIN_MS).unref();
    });
  }

  function welcome(socket: WebSocket): void {
    const dropped = (reason: string): void => log.write('warning', `dropped a client: it ${reason}`);
    socket.on('error', error => log.write('warning', `a client's connection failed: ${error.message}`));
    const transport = socketTransport(fromWebSocket(socket), {
      maxQueuedBytes: options.maxQueuedBytes ?? MAX_QUEUED_BYTES,
      onDropped: dropped,
    });
    const say = (message: string): void => log.write('warning', message);
    const session = openSession({
      transport,
      services,
      greeting,
      logger: { error: say, warn: say, info: () => undefined, log: () => undefined },
      watch,
      onInitialized: ({ name, version }) => log.write('info', `client ${name} ${version}`),
      onExit: () => void stop(),
    });
    sessions.set(socket, session);
    clearTimeout(idleTimer);
    const late = setTimeout(() => !session.isInitialized && socket.close(1008, 'it did not send initialize'), HANDSHAKE_MS).unref();
    socket.on('close', () => {
      clearTimeout(late);
      session.dispose();
      sessions.delete(socket);
      watchIdle();
    });
  }

  function greeting(): InitializeResult {
    const methods = Object.values(requests).map(({ method }) => method);
    return {
      protocol: PROTOCOL_VERSION,
      version: manifest.version,
      pid: process.pid,
      startedAt,
      capabilities: { requests: methods },
      seq: ring.seq,
    };
  }

  function publish(jobId: string, event: JobEvent['event']): void {
    const entry = ring.add(jobId, event);
    for (const session of sessions.values()) session.notify('jobEvent', entry);
    if (event.type !== 'state') for (const listener of watchers.get(jobId) ?? []) listener(event);
  }

  function watch(jobId: string, listener: (event: WorkerEvent) => void): () => void {
    const all = watchers.get(jobId) ?? new Set();
    watchers.set(jobId, all.add(listener));
    return () => {
      all.delete(listener);
      if (all.size === 0) watchers.delete(jobId);
    };
  }

  function watchIdle(): void {
    clearTimeout(idleTimer);
    if (idleExitMs === 0 || sessions.size > 0 || jobs.active > 0) return;
    idleTimer = setTimeout(() => {
      log.write('info', 'idle: no jobs and no clients');
      void stop();
    }, idleExitMs).unref();
  }

  function stop(): Promise<void> {
    ending ??= (async () => {
      clearTimeout(idleTimer);
      await jobs.close();
      reader.close();
      clearTimeout(saveTimer);
      await jobsFile.save().catch((error: Error) => log.write('error', error.message));
      await rm(discoveryPath(stateDir), { force: true }).catch((error: Error) => log.write('error', error.message));
      await closeDoors();
      release();
      log.write('info', 'ended');
      end();
    })();
    return ending;
  }
}
