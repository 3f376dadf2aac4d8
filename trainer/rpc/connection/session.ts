/** One client: its handshake, its requests, and the events to which it subscribed. */

import {
  type CancellationToken,
  createMessageConnection,
  ErrorCodes,
  type Logger,
  type MessageConnection,
  ResponseError,
} from 'vscode-jsonrpc/node';
import { namesOf } from '../../catalog/entries.ts';
import type { WorkerEvent } from '../../protocol/messages/job-messages.ts';
import {
  clientNotifications,
  type InitializeResult,
  type ParamsOf,
  PROTOCOL_VERSION,
  type RequestName,
  RPC_ERROR,
  type RpcErrorData,
  requests,
  type ServerNotificationName,
  serverNotifications,
} from '../../protocol/messages/rpc-messages.ts';
import type { SocketTransport } from '../../protocol/messages/socket-transport.ts';
import { describeFailure } from '../../run-error.ts';
import { DaemonError } from '../daemon-error.ts';
import { checkParams } from '../param-schemas.ts';
import { type Call, type Handlers, handlers, type Services } from '../request-handlers.ts';
import { WORKER_PROGRESS } from './worker-progress.ts';

/** Maximum number of concurrent requests of one client, including waiting ones. */
const MAX_IN_FLIGHT = 1000;

export interface SessionParams {
  readonly transport: SocketTransport;
  readonly services: Services;
  readonly greeting: () => InitializeResult;
  readonly logger: Logger;
  watch(jobId: string, listener: (event: WorkerEvent) => void): () => void;
  onInitialized(client: { readonly name: string; readonly version: string }): void;
  onExit(): void;
}

export interface Session {
  /** Sends a notification, if the client has subscribed. */
  notify<Name extends ServerNotificationName>(name: Name, params: ParamsOf<(typeof serverNotifications)[Name]>): void;
  readonly isInitialized: boolean;
  dispose(): void;
}

const nameOfMethod = new Map<string, RequestName>(namesOf(requests).map(name => [requests[name].method, name]));

export function openSession(params: SessionParams): Session {
  const { transport, services, logger } = params;
  const connection = createMessageConnection(transport.reader, transport.writer, logger);
  let wantsEvents = false;
  let isInitialized = false;
  let inFlight = 0;
  /** Listeners of the requests in progress. */
  const gone = new Set<() => void>();

  const answer = async (method: string, given: unknown, token: CancellationToken): Promise<unknown> => {
    const name = nameOfMethod.get(method);
    if (name === undefined) return new ResponseError(ErrorCodes.MethodNotFound, `unknown request ${JSON.stringify(method.slice(0, 100))}`);
    if (inFlight >= MAX_IN_FLIGHT) return asResponse(new DaemonError('too-many-requests', `more than ${MAX_IN_FLIGHT} requests at once`));
    inFlight++;
    try {
      if (name === 'initialize') {
        const { protocol, client, capabilities } = checkParams('initialize', method, given);
        if (protocol !== PROTOCOL_VERSION) throw mismatch(client, protocol);
        wantsEvents = capabilities.events;
        isInitialized = true;
        params.onInitialized(client);
        return params.greeting();
      }
      if (!isInitialized) return new ResponseError(RPC_ERROR.notInitialized, `${method} came before initialize`);
      return await handle(name, method, given, token);
    } catch (error) {
      if (token.isCancellationRequested) return new ResponseError(RPC_ERROR.requestCanceled, 'the request was canceled');
      return asResponse(error, logger);
    } finally {
      inFlight--;
    }
  };

  const handle = (name: keyof Handlers, method: string, given: unknown, token: CancellationToken): unknown => {
    // The table pairs each name with the handler of its own parameters, which TypeScript cannot track through a variable.
    const handler = handlers[name] as (params: unknown, services: Services, call: Call) => unknown;
    return handler(checkParams(name, method, given), services, callOf({ connection, token, watch: params.watch, gone }));
  };

  connection.onRequest((method, given, token) => answer(method, given, token));
  connection.onNotification(clientNotifications.exit.method, () => {
    if (isInitialized) params.onExit();
  });
  connection.onNotification(clientNotifications.initialized.method, () => undefined);
  connection.onClose(() => connection.dispose());
  connection.listen();
  return {
    notify: (name, value) => {
      if (!wantsEvents) return;
      quietly(() => connection.sendNotification(serverNotifications[name].method, value));
    },
    get isInitialized() {
      return isInitialized;
    },
    dispose: () => {
      wantsEvents = false;
      for (const tell of [...gone]) tell();
      connection.dispose();
    },
  };
}

interface CallParams {
  readonly connection: MessageConnection;
  readonly token: CancellationToken;
  readonly watch: SessionParams['watch'];
  readonly gone: Set<() => void>;
}

function callOf({ connection, token, watch, gone }: CallParams): Call {
  return {
    onCanceled: listener => {
      if (token.isCancellationRequested) listener();
      else token.onCancellationRequested(listener);
    },
    onGone: listener => {
      gone.add(listener);
      return () => void gone.delete(listener);
    },
    progress: (id, event) => quietly(() => connection.sendProgress(WORKER_PROGRESS, id, event)),
    watch,
  };
}

/**
 * Sends without throwing. The transport has reported why it was closed, and missed events can be requested. Sending on a closed connection
 * throws at once.
 */
function quietly(send: () => Promise<void>): void {
  try {
    send().catch(() => undefined);
  } catch {
    // The connection was closed since the event was created.
  }
}

function mismatch(client: { readonly name: string; readonly version: string }, protocol: number): DaemonError {
  return new DaemonError(
    'protocol-mismatch',
    `this daemon speaks protocol ${PROTOCOL_VERSION}, ${client.name} ${client.version} speaks ${protocol}`,
    { hint: 'Install the same version of both; stop the old daemon with: rowtune daemon stop' },
  );
}

/** The error that a client receives: the sentence as message, code and hint as data. */
function asResponse(error: unknown, logger?: Logger): ResponseError<RpcErrorData> {
  if (error instanceof DaemonError)
    return new ResponseError(RPC_ERROR.failed, error.message, { code: error.code, hint: error.hint, ...error.details });
  const { event, unexpected } = describeFailure(error);
  if (unexpected) logger?.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return new ResponseError(RPC_ERROR.failed, event.message, { code: event.code, hint: event.hint });
}
