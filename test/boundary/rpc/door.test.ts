/** Tests access control and what a client can send, with real sockets and a real daemon. */
import { statSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { SUBPROTOCOL, TOKEN_PROTOCOL } from '../../../trainer/protocol/messages/rpc-messages.ts';
import { connectDaemon } from '../../../trainer/rpc/connection/connect.ts';
import { discoveryPath } from '../../../trainer/rpc/connection/discovery.ts';
import type { Daemon } from '../../../trainer/rpc/daemon.ts';
import { connectTo, connectToState, makeStateDir, startTestDaemon, until, urlOf } from '../../support/daemon/daemon.ts';

const MAX_FRAME = 64 * 1024;
const stateDir = makeStateDir();
let daemon: Daemon;

beforeAll(async () => {
  daemon = await startTestDaemon({ stateDir, maxFrameBytes: MAX_FRAME, maxQueuedBytes: 256 * 1024 });
});
afterAll(() => daemon.stop());

const authorization = (): Record<string, string> => ({ authorization: `Bearer ${daemon.discovery.token}` });

/** Returns 'open', or the HTTP status of the rejection. */
function knock(options: { readonly headers?: Record<string, string>; readonly protocols?: string[] }): Promise<string> {
  return new Promise(resolve => {
    const socket = new WebSocket(urlOf(daemon), options.protocols ?? [], { headers: options.headers });
    socket.once('open', () => {
      socket.terminate();
      resolve('open');
    });
    socket.once('unexpected-response', (_, response) => {
      resolve(String(response.statusCode));
      socket.terminate();
    });
    socket.on('error', () => undefined);
  });
}

function openRaw(): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(urlOf(daemon), SUBPROTOCOL, { headers: authorization() });
    socket.once('open', () => resolve(socket));
    socket.once('error', reject);
  });
}

const closing = (socket: WebSocket): Promise<number> => new Promise(resolve => socket.once('close', code => resolve(code)));

async function stillServes(): Promise<void> {
  const client = await connectTo(daemon);
  expect((await client.request('daemonStatus', {})).pid).toBe(process.pid);
  client.close();
}

describe("the daemon's port", () => {
  test('opens by a header or by the subprotocol', async () => {
    expect(await knock({ headers: authorization() })).toBe('open');
    expect(await knock({ protocols: [SUBPROTOCOL, `${TOKEN_PROTOCOL}${daemon.discovery.token}`] })).toBe('open');
  });

  test.each([
    ['no token', {}, '401'],
    ['a wrong token', { headers: { authorization: `Bearer ${'0'.repeat(64)}` } }, '401'],
    ['a wrong subprotocol', { protocols: [SUBPROTOCOL, `${TOKEN_PROTOCOL}00`] }, '401'],
  ])('stays shut for %s', async (_, options, status) => expect(await knock(options)).toBe(status));

  test('refuses a web page even with the token', async () => {
    for (const origin of ['https://example.com', 'http://localhost:3000', 'null', 'vscode-webview://x'])
      expect(await knock({ headers: { ...authorization(), origin } })).toBe('403');
  });

  test('refuses a wrong token with an error of its own', async () => {
    const attempt = connectDaemon({ url: urlOf(daemon), token: 'ff' }, { client: { name: 'test', version: '0' } });
    await expect(attempt).rejects.toMatchObject({ name: 'DaemonError', code: 'daemon-refused' });
  });

  test('has a discovery file that only this user can read, and that is enough to connect', async () => {
    expect(statSync(discoveryPath(stateDir)).mode & 0o777).toBe(0o600);
    const client = await connectToState(stateDir);
    expect(client.server.startedAt).toBe(daemon.discovery.startedAt);
    client.close();
  });

  test('a client gives up a connection on which nothing arrives', async () => {
    const address = { url: urlOf(daemon), token: daemon.discovery.token };
    const client = await connectDaemon(address, { client: { name: 'test', version: '0' }, silenceMs: 100 });
    expect(await client.closed).toContain('closed');
    await expect(client.request('daemonStatus', {})).rejects.toMatchObject({ code: 'daemon-gone' });
  });

  test('holds a limited number of connections that send nothing', async () => {
    const sockets = Array.from({ length: 300 }, () => connectTcp({ host: '127.0.0.1', port: daemon.discovery.port }));
    const closed = new Set<object>();
    for (const socket of sockets) socket.on('error', () => undefined).once('close', () => closed.add(socket));
    await until(() => closed.size >= 44, 'the end of the connections beyond the limit');
    expect(closed.size).toBeLessThan(60);
    for (const socket of sockets) socket.destroy();
    await until(() => closed.size === 300, 'the end of all connections');
    const client = await connectToState(stateDir);
    client.close();
  });

  test('answers plain HTTP with status 426', async () => {
    expect((await fetch(`http://127.0.0.1:${daemon.discovery.port}/`)).status).toBe(426);
  });
});

describe('what a client sends', () => {
  test('waiting for an unknown job is refused, and leaves nothing behind', async () => {
    const client = await connectTo(daemon);
    await expect(client.request('waitForJob', { id: 'nobody', progressToken: 'x' })).rejects.toMatchObject({ code: 'job-missing' });
    client.close();
    await client.closed;
    await stillServes();
  });

  test('a frame that is too large ends only its own connection', async () => {
    const socket = await openRaw();
    socket.on('error', () => undefined);
    socket.send('x'.repeat(MAX_FRAME + 1));
    expect(await closing(socket)).toBe(1009);
    await stillServes();
  });

  test.each([
    ['no JSON', 'hello', 1007],
    ['half a message', '{"jsonrpc":"2.0","id":1,"meth', 1007],
    ['JSON that is no message', '[1,2,3]', 1007],
    ['null', 'null', 1007],
    ['deep nesting', '['.repeat(30_000), 1007],
    ['bytes', Buffer.from([1, 2, 3]), 1003],
  ])('%s ends its connection alone', async (_, data, code) => {
    const socket = await openRaw();
    socket.send(data);
    expect(await closing(socket)).toBe(code);
    await stillServes();
  });

  test('a connection that stops in the middle of a frame does not disturb the others', async () => {
    const socket = connectTcp({ host: '127.0.0.1', port: daemon.discovery.port });
    const headers = [
      'GET / HTTP/1.1',
      'Host: 127.0.0.1',
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      `Authorization: Bearer ${daemon.discovery.token}`,
    ];
    socket.write(`${headers.join('\r\n')}\r\n\r\n`);
    await new Promise(resolve => socket.once('data', resolve));
    // A masked text frame of 100 bytes, of which only six arrive.
    socket.write(Buffer.from([0x81, 0x80 | 100, 1, 2, 3, 4]));
    await stillServes();
    socket.destroy();
    await stillServes();
  });

  test('requests before initialize are refused; unknown methods and wrong parameters are reported', async () => {
    const socket = await openRaw();
    const answers: { readonly id: number; readonly error?: { readonly code: number; readonly message: string } }[] = [];
    socket.on('message', data => answers.push(JSON.parse(data.toString())));
    socket.send('{"jsonrpc":"2.0","id":1,"method":"daemon/status","params":{}}');
    socket.send('{"jsonrpc":"2.0","id":2,"method":"no/such","params":{}}');
    socket.send(
      '{"jsonrpc":"2.0","id":3,"method":"initialize","params":{"protocol":99,"client":{"name":"x","version":"1"},"capabilities":{"events":false}}}',
    );
    socket.send('{"jsonrpc":"2.0","id":4,"method":"initialize","params":{}}');
    await until(() => answers.length === 4, 'four answers');
    const codes = answers.map(({ error }) => error?.code);
    expect(codes).toEqual([-32002, -32601, -32001, -32001]);
    expect(answers[2]?.error?.message).toContain('protocol');
    expect(answers[3]?.error?.message).toContain('client');
    socket.terminate();
  });

  test('a client that never reads is dropped, the others are served', async () => {
    const socket = await openRaw();
    socket.send(
      '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocol":1,"client":{"name":"deaf","version":"1"},"capabilities":{"events":true}}}',
    );
    await new Promise(resolve => socket.once('message', resolve));
    socket.on('error', () => undefined);
    socket.pause();
    const other = await connectTo(daemon);
    let id = 1;
    await until(async () => {
      for (let i = 0; i < 400 && socket.readyState === WebSocket.OPEN; i++)
        socket.send(
          `{"jsonrpc":"2.0","id":${id++},"method":"initialize","params":{"protocol":1,"client":{"name":"deaf","version":"1"},"capabilities":{"events":true}}}`,
        );
      return (await other.request('daemonStatus', {})).clients === 1;
    }, 'the deaf client is dropped');
    other.close();
    socket.terminate();
  });

  test('ten clients with a thousand quick requests are all answered', async () => {
    const clients = await Promise.all(Array.from({ length: 10 }, () => connectTo(daemon)));
    const answers = await Promise.all(clients.flatMap(client => Array.from({ length: 100 }, () => client.request('daemonStatus', {}))));
    expect(answers).toHaveLength(1000);
    expect(new Set(answers.map(({ pid }) => pid))).toEqual(new Set([process.pid]));
    for (const client of clients) client.close();
    await until(async () => {
      const client = await connectTo(daemon);
      const { clients: count } = await client.request('daemonStatus', {});
      client.close();
      return count === 1;
    }, 'all are gone');
  });
});
