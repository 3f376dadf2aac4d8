/** The connected clients of the daemon: their sessions, and the events that they receive. */
import type { WebSocket } from 'ws';
import manifest from '../../../package.json' with { type: 'json' };
import type { WorkerEvent } from '../../protocol/messages/job-messages.ts';
import {
  type InitializeResult,
  type JobEvent,
  type JobRecord,
  MAX_FRAME_BYTES,
  PROTOCOL_VERSION,
  requests,
} from '../../protocol/messages/rpc-messages.ts';
import { socketTransport } from '../../protocol/messages/socket-transport.ts';
import type { DaemonLog } from '../daemon-log.ts';
import type { Services } from '../request-handlers.ts';
import type { EventRing } from './event-ring.ts';
import { openSession, type Session } from './session.ts';
import { fromWebSocket } from './web-socket.ts';

/** Maximum size of the send queue of a client that does not read: two of the largest messages. */
const MAX_QUEUED_BYTES = 2 * MAX_FRAME_BYTES;
/** Time limit from a connection to its `initialize`. */
const HANDSHAKE_MS = 10_000;

export interface ClientSessionsParams {
  readonly log: DaemonLog;
  /** The time when the daemon started, ISO 8601. */
  readonly startedAt: string;
  readonly ring: EventRing;
  /** Defaults to MAX_QUEUED_BYTES. */
  readonly maxQueuedBytes: number | undefined;
  /** Called when a client has connected or disconnected. */
  readonly onCount: () => void;
  /** Called when a client sends `exit`. */
  readonly onExit: () => void;
}

type Watcher = (event: WorkerEvent) => void;

export class ClientSessions {
  private readonly params: ClientSessionsParams;
  private readonly sessions = new Map<WebSocket, Session>();
  /** The watchers of each job. */
  private readonly watchers = new Map<string, Set<Watcher>>();

  constructor(params: ClientSessionsParams) {
    this.params = params;
  }

  get count(): number {
    return this.sessions.size;
  }

  /** Opens a session, which is closed unless it is initialized in time. */
  welcome(socket: WebSocket, services: Services): void {
    const { log, onCount, onExit, maxQueuedBytes = MAX_QUEUED_BYTES } = this.params;
    const warn = (message: string): void => log.write('warning', message);
    socket.on('error', error => warn(`a client's connection failed: ${error.message}`));
    const session = openSession({
      transport: socketTransport(fromWebSocket(socket), { maxQueuedBytes, onDropped: reason => warn(`dropped a client: it ${reason}`) }),
      services,
      greeting: () => this.greeting(),
      logger: { error: warn, warn, info: () => undefined, log: () => undefined },
      watch: (jobId, watcher) => this.watch(jobId, watcher),
      onInitialized: ({ name, version }) => log.write('info', `client ${name} ${version}`),
      onExit,
    });
    this.sessions.set(socket, session);
    onCount();
    const late = setTimeout(() => !session.isInitialized && socket.close(1008, 'it did not send initialize'), HANDSHAKE_MS).unref();
    socket.on('close', () => {
      clearTimeout(late);
      session.dispose();
      this.sessions.delete(socket);
      onCount();
    });
  }

  jobChanged(record: JobRecord): void {
    for (const session of this.sessions.values()) session.notify('jobChanged', record);
  }

  /** Numbers an event of a job and sends it to all clients that wait for it. */
  publish(jobId: string, event: JobEvent['event']): void {
    const entry = this.params.ring.add(jobId, event);
    for (const session of this.sessions.values()) session.notify('jobEvent', entry);
    if (event.type !== 'state') for (const watcher of this.watchers.get(jobId) ?? []) watcher(event);
  }

  private watch(jobId: string, watcher: Watcher): () => void {
    const all = this.watchers.get(jobId) ?? new Set();
    this.watchers.set(jobId, all.add(watcher));
    return () => {
      all.delete(watcher);
      if (all.size === 0) this.watchers.delete(jobId);
    };
  }

  private greeting(): InitializeResult {
    const { startedAt, ring } = this.params;
    return {
      protocol: PROTOCOL_VERSION,
      version: manifest.version,
      pid: process.pid,
      startedAt,
      capabilities: { requests: Object.values(requests).map(({ method }) => method) },
      seq: ring.seq,
    };
  }
}
