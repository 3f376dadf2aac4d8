/** A listener of the daemon: a WebSocket that requires the token and rejects web pages; for other machines, only over TLS. */

import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { portOf } from '../../machine/port-of.ts';
import { bearerToken, isSameSecret } from '../../machine/same-secret.ts';
import { SUBPROTOCOL, TOKEN_PROTOCOL } from '../../protocol/messages/rpc-messages.ts';

/** Maximum number of clients. Every window has one or two, so more indicate a leak in a client. */
const MAX_CLIENTS = 64;
/**
 * Maximum number of connections, with those that have not sent their headers yet. Each takes an open file, and a program without the token
 * must not use up those that jobs need.
 */
const MAX_CONNECTIONS = 4 * MAX_CLIENTS;
/** Maximum time for the headers of an upgrade request, which has a few hundred bytes and arrives at once. */
const HEADERS_TIMEOUT_MS = 10_000;
/** Milliseconds between pings; a dead peer (sleep, a lost connection) is noticed after two of them. */
const PING_INTERVAL_MS = 30_000;

/** The certificate (with its chain) and the key, as PEM. */
export interface Tls {
  readonly cert: string;
  readonly key: string;
}

export interface ListenParams {
  readonly token: string;
  /** The address for other machines. Without it, the listener is plain and accepts only this machine, on a free port. */
  readonly outside?: { readonly tls: Tls; readonly host: string; readonly port: number };
  readonly maxFrameBytes: number;
  onClient(socket: WebSocket): void;
  onRefused(reason: string): void;
}

export interface Listener {
  readonly port: number;
  /** Accepts no more clients and drops the current ones. */
  close(): Promise<void>;
}

/** Starts listening. Rejects if the port is in use, or the certificate cannot be used. */
export async function listen({ token, outside, maxFrameBytes, onClient, onRefused }: ListenParams): Promise<Listener> {
  const limits = { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 2000 };
  const http = outside
    ? createSecureServer({ ...outside.tls, ...limits, minVersion: 'TLSv1.2', handshakeTimeout: HEADERS_TIMEOUT_MS })
    : createServer(limits);
  http.maxConnections = MAX_CONNECTIONS;
  // perMessageDeflate would let a small frame expand to a large one.
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxFrameBytes,
    perMessageDeflate: false,
    handleProtocols: offered => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  });
  http.on('request', (_, response) => {
    response.writeHead(426, { connection: 'close', upgrade: 'websocket' }).end();
  });
  http.on('clientError', (_, socket) => socket.destroy());
  http.on('tlsClientError', error => onRefused(`a TLS handshake that failed: ${error.message}`));
  http.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    const refusal = whyRefused(request, token) ?? (sockets.clients.size >= MAX_CLIENTS ? tooMany : undefined);
    if (refusal) {
      onRefused(refusal.reason);
      refuse(socket, refusal.status);
      return;
    }
    sockets.handleUpgrade(request, socket, head, accepted => onClient(accepted));
  });
  const unanswered = new WeakSet<WebSocket>();
  const pings = setInterval(() => {
    for (const socket of sockets.clients) {
      if (unanswered.has(socket)) socket.terminate();
      unanswered.add(socket);
      socket.once('pong', () => unanswered.delete(socket));
      socket.ping();
    }
  }, PING_INTERVAL_MS).unref();
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject);
    http.listen(outside ? { host: outside.host, port: outside.port } : { host: '127.0.0.1', port: 0 }, resolve);
  });
  return {
    port: portOf(http),
    close: async () => {
      clearInterval(pings);
      const closed = new Promise<void>(resolve => http.close(() => resolve()));
      for (const socket of sockets.clients) socket.close(1001, 'the daemon ends');
      const timer = setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate();
        http.closeAllConnections();
      }, 500);
      await closed;
      clearTimeout(timer);
    },
  };
}

interface Refusal {
  readonly status: string;
  readonly reason: string;
}

const tooMany: Refusal = { status: '503 Service Unavailable', reason: `more than ${MAX_CLIENTS} clients` };

/** The reason for refusing a connection; undefined if it is accepted. */
function whyRefused({ headers }: IncomingMessage, token: string): Refusal | undefined {
  // Every browser sends the origin of the page that opens a WebSocket; pages never get access, with or without a token.
  if (headers.origin !== undefined) return { status: '403 Forbidden', reason: 'a web page (Origin header)' };
  const given = givenToken(headers);
  if (given === undefined) return { status: '401 Unauthorized', reason: 'no token' };
  return isSameSecret(given, token) ? undefined : { status: '401 Unauthorized', reason: 'a wrong token' };
}

function givenToken(headers: IncomingMessage['headers']): string | undefined {
  const bearer = bearerToken(headers.authorization);
  if (bearer !== undefined) return bearer;
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim());
  return offered.find(name => name.startsWith(TOKEN_PROTOCOL))?.slice(TOKEN_PROTOCOL.length);
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
}
