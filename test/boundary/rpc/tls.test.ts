/** Tests the daemon's second port, for other machines: over TLS, with a stored token, next to the plain port for this machine. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { connectDaemon, type RemoteAddress } from '../../../trainer/rpc/connection/connect.ts';
import type { Daemon } from '../../../trainer/rpc/daemon.ts';
import { cliJson } from '../../e2e/cli/run-cli.ts';
import { connectTo, makeStateDir, startTestDaemon } from '../../support/daemon/daemon.ts';
import { selfSigned } from '../../support/machine/self-signed.ts';

const tls = selfSigned();
const token = 'a-token-that-is-kept-by-both-machines';
const client = { name: 'test', version: '0' };
let daemon: Daemon;
let address: RemoteAddress;

beforeAll(async () => {
  daemon = await startTestDaemon({ token, outside: { tls, host: '127.0.0.1', port: 0 } });
  address = { url: `wss://localhost:${daemon.outsidePort}`, token, ca: tls.cert };
});
afterAll(() => daemon.stop());

const attempt = (change: Partial<RemoteAddress>): Promise<unknown> => connectDaemon({ ...address, ...change }, { client, timeoutMs: 5000 });

describe('a client on another machine', () => {
  test('gets in by address, token and certificate, and sees the same jobs as one on this machine', async () => {
    const [near, far] = [await connectTo(daemon), await connectDaemon(address, { client, events: true })];
    expect(far.server.pid).toBe(process.pid);
    const ended = new Promise(resolve => far.on('jobChanged', ({ state, id }) => state === 'succeeded' && resolve(id)));
    await near.request('doctor', { id: 'seen', engine: 'portable' });
    expect(await ended).toBe('seen');
    expect(await far.request('listJobs', {})).toEqual(await near.request('listJobs', {}));
    near.close();
    far.close();
  });

  test.each([
    ['a certificate that nobody knows', { ca: undefined }, 'daemon-untrusted'],
    ['the certificate of another', { ca: selfSigned().cert }, 'daemon-untrusted'],
    ['a wrong token', { token: 'another-token-that-is-long-enough-too' }, 'daemon-refused'],
    ['a plain connection beyond this machine', { url: 'ws://192.0.2.1:1' }, 'daemon-untrusted'],
    ['what is no address', { url: 'https://192.0.2.1' }, 'daemon-missing'],
  ])('%s is refused', async (_, change, code) => {
    await expect(attempt(change)).rejects.toMatchObject({ name: 'DaemonError', code });
  });

  test('a connection without TLS is refused', async () => {
    await expect(attempt({ url: `ws://localhost:${daemon.outsidePort}` })).rejects.toMatchObject({
      code: 'daemon-missing',
      hint: expect.stringContaining('SSH tunnel'),
    });
  });

  test('a web page is refused here too', async () => {
    const headers = { authorization: `Bearer ${token}`, origin: 'https://example.com' };
    const status = await new Promise(resolve => {
      const socket = new WebSocket(address.url, { headers, ca: tls.cert });
      socket.once('unexpected-response', (_, response) => {
        resolve(response.statusCode);
        socket.terminate();
      });
      socket.on('error', () => undefined);
    });
    expect(status).toBe(403);
  });

  test('bytes that are no handshake disturb nobody', async () => {
    const socket = connectTcp({ host: '127.0.0.1', port: daemon.outsidePort ?? 0 });
    const closed = new Promise(resolve => socket.once('close', resolve));
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\n\r\n');
    await closed;
    const other = await connectDaemon(address, { client });
    other.close();
  });
});

test('a port that is taken, and a token that is short, are reported before anything runs', async () => {
  const outside = { tls, host: '127.0.0.1', port: daemon.outsidePort ?? 0 };
  const message = expect.stringMatching(/^port \d+ of 127\.0\.0\.1 is in use by another program$/);
  await expect(startTestDaemon({ outside })).rejects.toMatchObject({ code: 'daemon-door', message });
  await expect(startTestDaemon({ token: 'short' })).rejects.toMatchObject({ code: 'bad-token' });
});

test('the command line reaches it by its environment', async () => {
  const caFile = join(makeStateDir(), 'ca.pem');
  writeFileSync(caFile, tls.cert);
  const env = { ROWTUNE_STATE: makeStateDir(), ROWTUNE_DAEMON_URL: address.url, ROWTUNE_DAEMON_TOKEN: token, ROWTUNE_DAEMON_CA: caFile };
  const { status, value } = await cliJson(['daemon', 'status'], { env });
  expect(status).toBe(0);
  expect(value).toMatchObject({ running: true, pid: process.pid, url: address.url });
  const dir = makeStateDir();
  mkdirSync(join(dir, 'runs', 'there'), { recursive: true });
  const at = new Date().toISOString();
  const state = { state: 'finished', name: 'there', step: 4, totalSteps: 4, pid: 1, startedAt: at, updatedAt: at };
  writeFileSync(join(dir, 'runs', 'there', 'state.json'), JSON.stringify(state));
  const runs = await cliJson(['runs'], { env: { ...env, ROWTUNE_DAEMON_DIR: dir }, cwd: makeStateDir() });
  expect(runs.value).toMatchObject({ runs: [{ name: 'there', runDir: join(dir, 'runs', 'there') }] });
  for (const command of [['daemon', 'status'], ['runs']]) {
    const wrong = await cliJson(command, { env: { ...env, ROWTUNE_DAEMON_CA: '' } });
    expect(wrong.status).toBe(1);
    expect(wrong.value).toMatchObject({ error: { code: 'daemon-untrusted' } });
  }
});

test('--listen without a certificate is refused', async () => {
  const { status, value } = await cliJson(['daemon', 'start', '--listen', '0.0.0.0:0'], {
    env: { ROWTUNE_STATE: makeStateDir() },
  });
  expect(status).toBe(2);
  expect(value).toMatchObject({ error: { code: 'usage' } });
});
