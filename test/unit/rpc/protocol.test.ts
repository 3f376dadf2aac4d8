/** Tests both ends of the protocol over a pair in memory: typed messages, invalid messages, and the bounded queue. */
import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import { createMessageConnection, NullLogger } from 'vscode-jsonrpc/node';
import type { WebSocket } from 'ws';
import { readFrame } from '../../../trainer/protocol/messages/frames.ts';
import { MAX_FRAME_BYTES } from '../../../trainer/protocol/messages/rpc-messages.ts';
import { socketTransport, type TextSocket } from '../../../trainer/protocol/messages/socket-transport.ts';
import { fromWebSocket } from '../../../trainer/rpc/connection/web-socket.ts';
import { until } from '../../support/machine/until.ts';

interface End extends TextSocket {
  bufferedAmount: number;
  readonly sent: string[];
  closedWith?: number | 'terminated';
}

/** Two sockets whose frames arrive in the next turn. */
function pair(): readonly [End, End] {
  const texts: ((text: string) => void)[][] = [[], []];
  const closes: ((code: number, reason: string) => void)[][] = [[], []];
  const make = (own: 0 | 1): End => {
    const end = (code: number): void => {
      for (const listener of [...(closes[0] ?? []), ...(closes[1] ?? [])]) listener(code, 'test');
    };
    const socket: End = {
      bufferedAmount: 0,
      sent: [],
      send: text => {
        socket.sent.push(text);
        setImmediate(() => {
          for (const listener of texts[1 - own] ?? []) listener(text);
        });
      },
      close: code => {
        socket.closedWith = code;
        end(code);
      },
      terminate: () => {
        socket.closedWith = 'terminated';
        end(1006);
      },
      onText: listener => void texts[own]?.push(listener),
      onClose: listener => void closes[own]?.push(listener),
    };
    return socket;
  };
  return [make(0), make(1)];
}

const connect = (socket: TextSocket, onDropped?: (reason: string) => void) => {
  const { reader, writer } = socketTransport(socket, { maxQueuedBytes: 1000, onDropped });
  const connection = createMessageConnection(reader, writer, NullLogger);
  connection.listen();
  return connection;
};

describe('socketTransport', () => {
  test('a request goes over, its answer comes back, one frame each', async () => {
    const [left, right] = pair();
    const [client, server] = [connect(left), connect(right)];
    server.onRequest((method, params) => ({ method, params }));
    expect(await client.sendRequest('runs/tail', { from: 3 })).toEqual({ method: 'runs/tail', params: { from: 3 } });
    expect([left.sent.length, right.sent.length]).toEqual([1, 1]);
  });

  test('both ends learn that the other is gone', async () => {
    const [left, right] = pair();
    const [client, server] = [connect(left), connect(right)];
    const closed = Promise.all([client, server].map(end => new Promise<void>(resolve => end.onClose(() => resolve()))));
    left.terminate();
    await closed;
  });

  test('an invalid message closes the connection once, with a reason', () => {
    const [left, right] = pair();
    const reasons: string[] = [];
    connect(right, reason => reasons.push(reason));
    left.send('nonsense');
    left.send('nonsense');
    return new Promise<void>(resolve =>
      setImmediate(() => {
        expect(right.closedWith).toBe(1007);
        expect(reasons).toHaveLength(1);
        resolve();
      }),
    );
  });

  test('a message that is too large for the peer is an error of its request alone', async () => {
    const [left, right] = pair();
    const [client, server] = [connect(left), connect(right)];
    const long = '\u00e9'.repeat(MAX_FRAME_BYTES / 2);
    server.onRequest(method => (method === 'runs/list' ? long : 'small'));
    await expect(client.sendRequest('runs/list')).rejects.toMatchObject({
      message: `the answer has more than ${MAX_FRAME_BYTES} bytes`,
      data: { code: 'answer-too-large', hint: expect.any(String) },
    });
    await expect(client.sendRequest('jobs/generate', { long })).rejects.toThrow('the message "jobs/generate" has more than');
    await expect(server.sendNotification('job/event', { long })).rejects.toThrow('the message "job/event" has more than');
    expect(await client.sendRequest('daemon/status')).toBe('small');
    expect([left.closedWith, right.closedWith]).toEqual([undefined, undefined]);
  });

  test('a peer that lets too much wait is dropped', async () => {
    const [left] = pair();
    const reasons: string[] = [];
    const connection = connect(left, reason => reasons.push(reason));
    await connection.sendNotification('job/event', {});
    expect(left.closedWith).toBeUndefined();
    left.bufferedAmount = 1001;
    await connection.sendNotification('job/event', {});
    expect(left.closedWith).toBe('terminated');
    expect(reasons[0]).toContain('1001 bytes');
  });
});

describe('readFrame', () => {
  test.each(['', '{', 'null', '1', '[]', '[{"jsonrpc":"2.0","id":1,"method":"x"}]', '{"jsonrpc":"1.0"}', '{"id":1}'])(
    '%j is foreign',
    text => expect(readFrame(text).kind).toBe('foreign'),
  );

  const kindOf = (fields: string): string => readFrame(`{"jsonrpc":"2.0",${fields}}`).kind;

  test.each([
    '"id":1,"method":"x"',
    '"id":"a","method":"x","params":{}',
    '"id":0,"method":"x","params":[]',
    '"id":1,"method":"x","params":null',
    '"method":"x"',
    '"method":"$/cancelRequest","params":{"id":1}',
    '"method":"$/progress","params":{"token":"t","value":1}',
    '"id":1,"result":null',
    '"id":1,"error":{"code":1,"message":"x"}',
  ])('%s is a message', fields => expect(kindOf(fields)).toBe('message'));

  test.each([
    '"id":null,"method":"x"',
    '"id":{},"method":"x"',
    '"id":1.5,"method":"x"',
    '"id":1e999,"method":"x"',
    '"id":1,"method":1',
    '"id":1',
    '"x":1',
  ])('%s is refused with an answer', fields => expect(kindOf(fields)).toBe('refused'));

  test.each([
    '"method":"$/cancelRequest"',
    '"method":"$/cancelRequest","params":null',
    '"method":"$/cancelRequest","params":[1]',
    '"method":"$/cancelRequest","params":{"id":null}',
    '"method":"$/progress","params":{"token":{}}',
    '"method":"$/setTrace","params":{"value":"verbose"}',
    '"method":5',
    '"id":null,"result":1',
  ])('%s is ignored', fields => expect(kindOf(fields)).toBe('ignored'));

  test('an answer of the wrong shape becomes an error, so that its caller does not wait', () => {
    expect(readFrame('{"jsonrpc":"2.0","id":1,"error":"no"}')).toMatchObject({ message: { id: 1, error: { code: -32603 } } });
  });

  test('depth counts brackets, but not those in a string', () => {
    const nested = (depth: number): string => `{"jsonrpc":"2.0","id":1,"method":"x","params":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    expect(readFrame(nested(90)).kind).toBe('message');
    expect(readFrame(nested(100))).toEqual({ kind: 'foreign', reason: 'nested more than 100 levels deep' });
    expect(readFrame(nested(4_000_000)).kind).toBe('foreign');
    expect(readFrame(`{"jsonrpc":"2.0","id":1,"method":"x","params":{"x":"${'[\\"{'.repeat(500)}"}}`).kind).toBe('message');
  });
});

test('a peer that sends faster than it is served is paused, and what it sent comes in order', async () => {
  const emitter = new EventEmitter();
  let paused = 0;
  const socket = Object.assign(emitter, {
    isPaused: false,
    pause: () => {
      socket.isPaused = true;
      paused++;
    },
    resume: () => {
      socket.isPaused = false;
    },
  });
  const heard: number[] = [];
  // Reading texts uses nothing else of a socket.
  fromWebSocket(socket as unknown as WebSocket).onText(text => heard.push(Number(text)));
  for (let i = 0; i < 1000; i++) emitter.emit('message', Buffer.from(String(i)), false);
  expect(socket.isPaused).toBe(true);
  expect(heard).toEqual([]);
  await until(() => heard.length === 1000, 'all are handed on');
  expect(heard).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  expect(socket.isPaused).toBe(false);
  expect(paused).toBeGreaterThan(0);
});
