/** Sends thousands of frames that our client never sends to both ends: none may end a process or disturb another client. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { PROTOCOL_VERSION, SUBPROTOCOL } from '../../../trainer/protocol/messages/rpc-messages.ts';
import { connectDaemon, type DaemonClient } from '../../../trainer/rpc/connection/connect.ts';
import type { Daemon } from '../../../trainer/rpc/daemon.ts';
import { connectTo, startTestDaemon, urlOf } from '../../support/daemon/daemon.ts';
import { mutatedFrames } from '../../support/daemon/mutate-frames.ts';
import { probeFrame } from '../../support/daemon/probe-frame.ts';
import { handshake, isOrder, validFrames } from '../../support/daemon/valid-frames.ts';
import { parseJson } from '../../support/files/read-json.ts';
import { portOf } from '../../support/machine/port-of.ts';

const FRAMES = 10_000;
const SEED = 13;
const folder = mkdtempSync(join(tmpdir(), 'rowtune-frames-'));
/** A worker whose jobs do nothing until they are stopped, for mutated frames that start jobs. */
const idleWorker = join(folder, 'worker.mjs');
writeFileSync(idleWorker, "let begun = false;\nprocess.on('message', () => (begun ? process.exit(0) : (begun = true)));\n");

let daemon: Daemon;
let other: DaemonClient;
beforeAll(async () => {
  daemon = await startTestDaemon({ workerFile: idleWorker });
  other = await connectTo(daemon, true);
});
afterAll(async () => {
  other.close();
  await daemon.stop();
  rmSync(folder, { recursive: true, force: true });
});

const valid = validFrames(folder);

function open(url: string): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, SUBPROTOCOL, { headers: { authorization: `Bearer ${daemon.discovery.token}` } });
    socket.on('error', reject);
    socket.once('open', () => resolve(socket));
  });
}

describe('the daemon', () => {
  test.each(['', ',"params":null', ',"params":[]', ',"params":{}', ',"params":{"id":null}', ',"params":{"id":{}}', ',"params":1'])(
    'is not ended by a cancellation with %j, before initialize and after it',
    async rest => {
      const socket = await open(urlOf(daemon));
      for (const probe of ['before', 'after']) {
        expect(await probeFrame(socket, `{"jsonrpc":"2.0","method":"$/cancelRequest"${rest}}`, probe)).toBe('answered');
        socket.send(JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params: handshake }));
      }
      socket.terminate();
    },
  );

  test('says what is wrong with a request, and keeps the connection', async () => {
    const socket = await open(urlOf(daemon));
    const answers: unknown[] = [];
    socket.on('message', data => answers.push(JSON.parse(String(data))));
    await probeFrame(socket, '{"jsonrpc":"2.0","id":{},"method":"jobs/list"}', '1');
    await probeFrame(socket, '{"jsonrpc":"2.0","id":7,"method":5}', '2');
    await probeFrame(socket, '{"jsonrpc":"2.0","id":8,"method":"jobs/list","params":"x"}', '3');
    expect(answers.filter(answer => !/"id":"\d"/.test(JSON.stringify(answer)))).toEqual([
      { jsonrpc: '2.0', id: null, error: { code: -32600, message: expect.stringContaining("'id'") } },
      { jsonrpc: '2.0', id: 7, error: { code: -32600, message: expect.stringContaining("'method'") } },
      { jsonrpc: '2.0', id: 8, error: { code: -32600, message: expect.stringContaining("'params'") } },
    ]);
    socket.terminate();
  });

  test(`${FRAMES} mutated frames end neither it nor the session of another client`, async () => {
    let socket: WebSocket | undefined;
    const counts = { answered: 0, closed: 0, silent: 0 };
    let sent = 0;
    for (const frame of mutatedFrames(valid, FRAMES, SEED)) {
      if (isOrder(frame)) continue;
      // Pending waits of earlier frames fill a session, so use a fresh one regularly.
      if (sent++ % 500 === 0) {
        socket?.terminate();
        socket = undefined;
        expect((await other.request('daemonStatus', {})).pid).toBe(process.pid);
      }
      if (socket === undefined) {
        socket = await open(urlOf(daemon));
        await probeFrame(socket, JSON.stringify({ jsonrpc: '2.0', id: 'first', method: 'initialize', params: handshake }), 'open');
      }
      const outcome = await probeFrame(socket, frame, `probe-${sent}`);
      counts[outcome]++;
      if (outcome === 'closed') socket = undefined;
    }
    socket?.terminate();
    expect(sent).toBeGreaterThan(0.99 * FRAMES);
    expect(counts.answered + counts.closed).toBe(sent);
    // Valid JSON-RPC keeps its connection; about a third of the frames are damaged as text.
    expect(counts.answered).toBeGreaterThan(0.5 * FRAMES);
    expect((await other.request('daemonStatus', {})).clients).toBeGreaterThan(0);
  });
});

describe('a client', () => {
  test('survives the frames of a hostile daemon', async () => {
    const greeting = { protocol: PROTOCOL_VERSION, version: '1', pid: 1, startedAt: 'now', capabilities: { requests: [] }, seq: 0 };
    const job = {
      id: 'x',
      kind: 'train',
      state: 'running',
      priority: 0,
      title: 'x',
      createdAt: 'now',
      metrics: { step: 1, values: { loss: 1 } },
    };
    const words = [
      { jsonrpc: '2.0', method: 'job/changed', params: job },
      { jsonrpc: '2.0', method: 'job/event', params: { seq: 1, jobId: 'x', event: { type: 'phase', name: 'x', message: 'y' } } },
      { jsonrpc: '2.0', method: '$/progress', params: { token: 'p', value: { type: 'text', chunk: 'x' } } },
      { jsonrpc: '2.0', id: 5, method: 'window/show', params: { x: 1 } },
      { jsonrpc: '2.0', id: 99, result: [] },
    ];
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => SUBPROTOCOL });
    const sockets: WebSocket[] = [];
    server.on('connection', socket => {
      sockets.push(socket);
      socket.on('message', data => {
        const { id, method } = parseJson(String(data), z.object({ id: z.unknown().optional(), method: z.unknown().optional() }));
        if (id === undefined || method === undefined) return;
        socket.send(JSON.stringify({ jsonrpc: '2.0', id, result: method === 'initialize' ? greeting : [] }));
      });
    });
    await new Promise(resolve => server.once('listening', resolve));
    const connect = () =>
      connectDaemon({ url: `ws://127.0.0.1:${portOf(server)}`, token: 'x' }, { client: { name: 'test', version: '0' }, events: true });
    let client: DaemonClient | undefined;
    const heard: string[] = [];
    let [sent, lost] = [0, 0];
    for (const frame of mutatedFrames(words, 3000, SEED)) {
      if (client === undefined) {
        client = await connect();
        // Records that arrive have the fields that the editor uses.
        client.on('jobChanged', ({ id, title, state }) => heard.push(`${id.length}${title.length}${state.length}`));
        client.on('jobEvent', ({ jobId, event }) => heard.push(`${jobId.length}${event.type.length}`));
        client.onProgress('p', () => undefined);
      }
      sent++;
      sockets.at(-1)?.send(frame);
      const answer = await client.request('listJobs', {}).catch((error: { code: unknown }) => error.code);
      if (answer === 'daemon-gone') {
        client = undefined;
        lost++;
      } else if (answer !== 'bad-answer') expect(Array.isArray(answer)).toBe(true);
    }
    client?.close();
    server.close();
    expect(sent).toBe(3000);
    expect(lost).toBeLessThan(1500);
    expect(heard.length).toBeGreaterThan(10);
  });

  test.each([[null], [1], [[]], [{}], [{ protocol: 1, pid: -1 }]])('a greeting of %j is refused with an error', async result => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => SUBPROTOCOL });
    server.on('connection', socket =>
      socket.on('message', data => socket.send(JSON.stringify({ jsonrpc: '2.0', id: JSON.parse(String(data)).id, result }))),
    );
    await new Promise(resolve => server.once('listening', resolve));
    const attempt = connectDaemon({ url: `ws://127.0.0.1:${portOf(server)}`, token: 'x' }, { client: { name: 'test', version: '0' } });
    await expect(attempt).rejects.toMatchObject({ code: 'bad-answer' });
    server.close();
  });
});
