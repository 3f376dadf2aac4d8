/** The protocol's two ends over a pair in memory: typed messages, what is no message, and the bounded queue. */
import { describe, expect, test } from 'vitest';
import { createMessageConnection, NullLogger } from 'vscode-jsonrpc/node';
import { parseMessage, socketTransport, type TextSocket } from '../../../trainer/protocol/socket-transport.ts';

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

  test('what is no message closes the connection once, with a reason', () => {
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

test.each(['', '{', 'null', '1', '[]', '{"jsonrpc":"1.0"}', '{"id":1}'])('%j is no message', text =>
  expect(parseMessage(text)).toBeUndefined(),
);
