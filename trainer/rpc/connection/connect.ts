/** The client's end of the connection: finds a daemon by state folder or address, performs the handshake, and sends typed requests. */

import { setTimeout as delay } from 'node:timers/promises';
import { type CancellationToken, createMessageConnection, NullLogger, ResponseError } from 'vscode-jsonrpc/node';
import { WebSocket } from 'ws';
import { isSuspended } from '../../machine/process-identity.ts';
import { isRecord } from '../../narrow.ts';
import type { WorkerEvent } from '../../protocol/messages/job-messages.ts';
import {
  clientNotifications,
  type InitializeResult,
  MAX_FRAME_BYTES,
  type ParamsOf,
  PROTOCOL_VERSION,
  type RequestName,
  type RequestParams,
  type RequestResult,
  requests,
  type ServerNotificationName,
  SUBPROTOCOL,
  serverNotifications,
} from '../../protocol/messages/rpc-messages.ts';
import { socketTransport } from '../../protocol/messages/socket-transport.ts';
import { DaemonError } from '../daemon-error.ts';
import { daemonOwner, unresponsive } from './claim.ts';
import { readDiscovery } from './discovery.ts';
import { checkAnswer, checkNotification } from './server-schemas.ts';
import { fromWebSocket } from './web-socket.ts';
import { WORKER_PROGRESS } from './worker-progress.ts';

/** Maximum time for the handshake. A slower daemon is unusable; a tunnel to another continent takes a second. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Maximum silence. The daemon pings twice in this time, so a longer silence means that the connection was lost. */
export const SILENCE_MS = 75_000;
/** Milliseconds between two attempts to reach a daemon that is just starting. */
const POLL_MS = 50;
/** Error codes of attempts that reached no daemon. */
const UNREACHED: readonly string[] = ['daemon-missing', 'daemon-gone', 'daemon-refused', 'daemon-full'];
/** Maximum number of bytes that a client queues for a daemon that does not read. */
const MAX_QUEUED_BYTES = 4 * MAX_FRAME_BYTES;

export interface RemoteAddress {
  /** `wss://host:port`, or `ws://127.0.0.1:port` through a tunnel. */
  readonly url: string;
  readonly token: string;
  /** The certificate, or that of its issuer, as PEM, if the system does not know it. */
  readonly ca?: string;
}

export type DaemonAddress = { readonly stateDir: string } | RemoteAddress;

export interface ConnectOptions {
  readonly client: { readonly name: string; readonly version: string };
  /** Whether to subscribe to `job/event` and `job/changed`. */
  readonly events?: boolean;
  readonly timeoutMs?: number | undefined;
  /** Maximum silence of the daemon. By default, one with an address has a limit, and one on this machine has none. */
  readonly silenceMs?: number;
}

export interface DaemonClient {
  readonly server: InitializeResult;
  /** @throws DaemonError with the daemon's code and hint; 'daemon-gone' if the connection ends first */
  request<Name extends RequestName>(name: Name, params: RequestParams<Name>, token?: CancellationToken): Promise<RequestResult<Name>>;
  on<Name extends ServerNotificationName>(name: Name, listener: (params: ParamsOf<(typeof serverNotifications)[Name]>) => void): () => void;
  /** Subscribes to the events of a request with this progress token. */
  onProgress(token: string, listener: (event: WorkerEvent) => void): () => void;
  /** Requests the daemon to exit, after `shutdown`. */
  exit(): Promise<void>;
  close(): void;
  /** Resolves with the reason when the connection has ended. */
  readonly closed: Promise<string>;
}

/**
 * @throws DaemonError 'daemon-missing', 'daemon-refused', 'daemon-gone', 'protocol-mismatch'; for a state folder also
 * 'daemon-unresponsive', if its daemon is alive but cannot be reached
 */
export const connectDaemon = (address: DaemonAddress, options: ConnectOptions): Promise<DaemonClient> =>
  'url' in address ? connectTo(address, options, options.silenceMs ?? SILENCE_MS) : connectToOwner(address.stateDir, options);

/** Connects to the daemon that owns the folder, and waits for one that is starting or about to exit. */
async function connectToOwner(stateDir: string, options: ConnectOptions): Promise<DaemonClient> {
  const deadline = performance.now() + (options.timeoutMs ?? HANDSHAKE_TIMEOUT_MS);
  for (;;) {
    const owner = daemonOwner(stateDir);
    if (owner === undefined)
      throw new DaemonError('daemon-missing', `no daemon is running for ${stateDir}`, { hint: 'Start it: rowtune daemon start' });
    if (isSuspended(owner)) throw unresponsive(stateDir, owner, 'the daemon is suspended');
    const found = await readDiscovery(stateDir);
    try {
      if (found?.pid === owner.pid)
        return await connectTo({ url: `ws://127.0.0.1:${found.port}`, token: found.token }, options, options.silenceMs);
      if (performance.now() > deadline) throw new DaemonError('daemon-missing', 'the daemon has not written its address');
    } catch (error) {
      if (!(error instanceof DaemonError) || !UNREACHED.includes(error.code)) throw error;
      if (error.code === 'daemon-full') throw unresponsive(stateDir, owner, error.message, error.hint);
      // It may have ended meanwhile.
      if (performance.now() > deadline && daemonOwner(stateDir)?.pid === owner.pid) throw unresponsive(stateDir, owner, error.message);
    }
    await delay(POLL_MS);
  }
}

async function connectTo(place: RemoteAddress, options: ConnectOptions, silenceMs?: number): Promise<DaemonClient> {
  const { url } = place;
  const timeoutMs = options.timeoutMs ?? HANDSHAKE_TIMEOUT_MS;
  const socket = await open(place, timeoutMs);
  if (silenceMs !== undefined) endWhenSilent(socket, silenceMs);
  const transport = socketTransport(fromWebSocket(socket), { maxQueuedBytes: MAX_QUEUED_BYTES });
  const connection = createMessageConnection(transport.reader, transport.writer, NullLogger);
  const closed = new Promise<string>(resolve => {
    socket.on('close', (code, reason) => resolve(reason.toString() || `the connection was closed (${code})`));
  });
  const gone = closed.then(reason => {
    connection.dispose();
    throw new DaemonError('daemon-gone', `the connection to the daemon was lost: ${reason}`, { hint: 'Start it: rowtune daemon start' });
  });
  // Pending requests report this error themselves.
  gone.catch(() => undefined);
  connection.listen();

  const request: DaemonClient['request'] = async (name, params, cancellation) => {
    if (socket.readyState !== WebSocket.OPEN) return gone;
    const { method } = requests[name];
    const answer = cancellation ? connection.sendRequest(method, params, cancellation) : connection.sendRequest(method, params);
    // The loser of the race is not awaited.
    answer.catch(() => undefined);
    return checkAnswer(name, await Promise.race([answer.catch(error => rethrow(error, socket, gone)), gone]));
  };

  const greeting = request('initialize', {
    protocol: PROTOCOL_VERSION,
    client: options.client,
    capabilities: { events: options.events ?? false },
  });
  try {
    const server = await within(
      greeting,
      timeoutMs,
      () => new DaemonError('daemon-missing', `${url} does not answer within ${timeoutMs} ms`),
    );
    await connection.sendNotification(clientNotifications.initialized.method, {});
    return {
      server,
      request,
      on: (name, listener) => {
        const handle = connection.onNotification(serverNotifications[name].method, (params: unknown) => {
          const checked = checkNotification(name, params);
          if (checked !== undefined) listener(checked);
        });
        return () => handle.dispose();
      },
      onProgress: (progressToken, listener) => {
        const handle = connection.onProgress(WORKER_PROGRESS, progressToken, listener);
        return () => handle.dispose();
      },
      exit: () => connection.sendNotification(clientNotifications.exit.method, {}),
      close: () => socket.close(1000, 'the client is done'),
      closed,
    };
  } catch (error) {
    socket.terminate();
    throw error;
  }
}

/** True if a connection is safe: a plain connection to another machine would reveal the token to everyone in between. */
const isLocal = ({ protocol, hostname }: URL): boolean => protocol === 'wss:' || ['127.0.0.1', 'localhost', '[::1]'].includes(hostname);

function open({ url, token, ca }: RemoteAddress, timeoutMs: number): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    if (!URL.canParse(url) || !/^wss?:$/.test(new URL(url).protocol))
      throw new DaemonError('daemon-missing', `${JSON.stringify(url)} is not the address of a daemon`, {
        hint: 'Write it like wss://host:port',
      });
    if (!isLocal(new URL(url)))
      throw new DaemonError('daemon-untrusted', `${url} would send the token unencrypted`, {
        hint: 'Use wss:// (rowtune daemon start --tls-cert … --tls-key …), or an SSH tunnel to 127.0.0.1',
      });
    const socket = new WebSocket(url, SUBPROTOCOL, {
      ca,
      headers: { authorization: `Bearer ${token}` },
      handshakeTimeout: timeoutMs,
      maxPayload: MAX_FRAME_BYTES,
      perMessageDeflate: false,
    });
    socket.once('open', () => {
      socket.on('error', () => socket.terminate());
      resolve(socket);
    });
    socket.once('unexpected-response', (_, response) => {
      socket.on('error', () => undefined);
      socket.terminate();
      reject(refusal(url, response.statusCode));
    });
    socket.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        isTrustError(error)
          ? untrusted(url, error)
          : new DaemonError('daemon-missing', `no daemon answers at ${url}: ${error.message}`, {
              hint: 'Start it on its machine with rowtune daemon start, and check the SSH tunnel or the firewall between the machines',
            }),
      ),
    );
  });
}

function refusal(url: string, status: number | undefined): DaemonError {
  if (status === 503)
    return new DaemonError('daemon-full', `${url} has reached its limit of clients`, {
      hint: 'Close windows or end commands that are connected to it',
    });
  const hint = status === 401 ? 'Use the token that this shows on its machine: rowtune daemon status --show-token' : undefined;
  return new DaemonError('daemon-refused', `${url} refuses the connection (HTTP ${status})`, { hint });
}

/** Ends a silent connection: a hung tunnel or a sleeping machine leaves its socket open. */
function endWhenSilent(socket: WebSocket, silenceMs: number): void {
  const timer = setTimeout(() => socket.terminate(), silenceMs).unref();
  for (const sign of ['ping', 'message'] as const) socket.on(sign, () => timer.refresh());
  socket.once('close', () => clearTimeout(timer));
}

const isTrustError = ({ code = '' }: NodeJS.ErrnoException): boolean => /CERT|SIGNATURE|ALTNAME|ISSUER/.test(code);

const untrusted = (url: string, { message }: Error): DaemonError =>
  new DaemonError('daemon-untrusted', `the certificate of ${url} is not trusted: ${message}`, {
    hint: "Set ROWTUNE_DAEMON_CA to its issuer's certificate, and use the certificate's host name in the address",
  });

/** Rethrows the daemon's error in its own words; if the connection ended, the reason replaces the library's message. */
async function rethrow(error: unknown, socket: WebSocket, gone: Promise<never>): Promise<never> {
  if (error instanceof ResponseError && error.data !== undefined) {
    const { code, hint, ...details } = isRecord(error.data) ? error.data : {};
    throw new DaemonError(String(code), error.message, { hint: typeof hint === 'string' ? hint : undefined, details });
  }
  if (socket.readyState !== WebSocket.OPEN) await gone;
  throw error;
}

async function within<T>(work: Promise<T>, timeoutMs: number, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), timeoutMs);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
